"""The suite at one URL: what `mobync_core.testing.verify` has pytest collect."""

from __future__ import annotations

import pytest

from mobync_core.testing import StorageSuite


class TestStorage(StorageSuite):
    @pytest.fixture
    def url(self, verified_url: str) -> str:
        return verified_url
