"""Somebody else's adapter, from its wheel beside ours: it is found, and the suite of the core's wheel judges it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.environments import Environments
from tests.packaging.figures import note

SUITE = """
import pytest
from mobync_core.testing import StorageSuite

class TestMemory(StorageSuite):
    @pytest.fixture
    def url(self):
        return "memory://"
"""


@pytest.mark.parametrize("storage", ["lmdb", "memory"])
def test_verify_finds_every_promise_kept(storage: str, environment: Environments, tmp_path: Path) -> None:
    url = "memory://" if storage == "memory" else f"lmdb://{tmp_path.as_posix()}/store"
    ended = environment("testing,memory", "mobync-lmdb").mobync("verify", url, COLUMNS="120")

    assert (ended.status, ended.err) == (0, ""), ended.out
    note(f"mobync verify {storage}://…: {ended.out.splitlines()[-1]}")
    assert " 0 broken" in ended.out.splitlines()[-1]


def test_an_adapters_own_tests_take_the_suite_from_the_wheel(environment: Environments, tmp_path: Path) -> None:
    file = tmp_path / "test_mine.py"
    file.write_text(SUITE, encoding="utf-8")
    place = environment("testing,memory", "mobync-lmdb")
    ended = place.run(
        "-m", "pytest", "-p", "no:cacheprovider", "-q", "-k", "conflict", f"--rootdir={tmp_path}", str(file)
    )

    assert ended.status == 0, ended.out
    assert " passed" in ended.out.splitlines()[-1]
