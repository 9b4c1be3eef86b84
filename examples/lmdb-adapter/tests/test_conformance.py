from pathlib import Path

import pytest

from mobync_core.testing import StorageSuite


class TestLMDB(StorageSuite):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"lmdb://{tmp_path}/store"
