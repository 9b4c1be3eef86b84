"""A server is replaced by its backup: what the backup lacks comes back from the devices, and nothing that was deleted.

Each story is told on every site, with a server of its own, ``mobync serve`` as a process, and replicas over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mobync_core.replica import Replica
from tests.restores.deployment import Deployment, Rows, rows
from tests.restores.sites import Site

RENEWED = 60
"""So many edits on the restored server take its clock past what the old devices have seen."""


class Story:
    """A phone and a laptop that sync, and have seen more than the backup; the phone has edits that it never sent."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.phone = deployment.device("phone")
        self.laptop = deployment.device("laptop")

    def before(self) -> None:
        for name in ("kept", "edited", "deleted", "born again", "deleted late", "pending"):
            self.phone.create("note", {"id": name, "x": "before", "y": "before"})
        self.phone.create("note", {"id": "gone", "x": "before"})
        self.both()
        self.phone.delete("note", "gone")
        self.both()

    def after(self) -> Rows:
        """Go on after the backup, and return what there was when the server died, with the edits never sent."""
        self.phone.update("note", "edited", {"x": "by the phone"})
        self.phone.delete("note", "deleted")
        self.phone.delete("note", "born again")
        self.phone.create("note", {"id": "new", "x": "after"})
        self.phone.create("note", {"id": "came and went", "x": "after"})
        self.both()
        self.laptop.update("note", "edited", {"y": "by the laptop"})
        self.laptop.create("note", {"id": "born again", "x": "again"})
        self.laptop.delete("note", "came and went")
        self.laptop.update("note", "new", {"y": "by the laptop"})
        self.both()
        self.laptop.delete("note", "deleted late")
        self.laptop.synchronize()  # the phone does not hear of it
        self.phone.update("note", "pending", {"x": "never sent"})
        self.phone.create("note", {"id": "never sent", "x": "new"})
        self.phone.delete("note", "kept")
        return {
            "edited": {"x": "by the phone", "y": "by the laptop"},
            "born again": {"x": "again"},
            "new": {"x": "after", "y": "by the laptop"},
            "pending": {"x": "never sent", "y": "before"},
            "never sent": {"x": "new"},
        }

    def both(self) -> None:
        for device in (self.phone, self.laptop, self.phone):
            device.synchronize()

    def all_come(self) -> list[Replica]:
        """Have everybody sync, twice, and a device that never was there."""
        fresh = self.deployment.device("fresh")
        everybody = [self.phone, self.laptop, fresh]
        for device in everybody * 2:
            device.synchronize()
        return everybody


@pytest.fixture
def story(site: Site, tmp_path: Path) -> Iterator[Story]:
    with Deployment(site, tmp_path) as deployment:
        deployment.start()
        yield Story(deployment)


@pytest.mark.parametrize("told", [True, False], ids=["told", "found-out"])
def test_what_the_backup_lacks_comes_back_and_nothing_that_was_deleted(story: Story, told: bool) -> None:
    story.before()
    story.deployment.back_up()
    whole = story.after()

    story.deployment.lose(told=told)
    # The laptop alone knows of a delete, and the phone still holds that record.
    for device in (story.laptop, story.phone) if told else (story.phone, story.laptop):
        result = device.synchronize()
        assert result.restored
        assert result.refused == []

    for device in story.all_come():
        assert rows(device) == whole
        assert device.status().pending == 0
    for device in (story.phone, story.laptop):
        assert [notice.kind for notice in device.status().notices] == ["restored"]
    _one_entry_each(story, whole)


def test_what_was_written_on_the_restored_server_meanwhile_stays(story: Story) -> None:
    """The server's clock is past what the old devices have seen, by edits of one that had seen only the backup."""
    story.before()
    story.deployment.back_up()
    whole = story.after()

    story.deployment.lose(told=True)
    early = story.deployment.device("early")
    early.synchronize()
    assert "new" not in rows(early)
    for number in range(RENEWED):
        early.create("note", {"id": f"early {number:02}", "x": "early"})
    early.update("note", "edited", {"x": "early"})
    early.delete("note", "pending")
    early.create("note", {"id": "new", "z": "early"})
    early.synchronize()
    assert early.status().clock > max(device.status().clock for device in (story.phone, story.laptop))

    assert [device.synchronize().restored for device in (story.phone, story.laptop)] == [True, True]
    whole |= {f"early {number:02}": {"x": "early"} for number in range(RENEWED)}
    whole["edited"]["x"] = "early"
    whole["new"]["z"] = "early"
    del whole["pending"]
    for device in [*story.all_come(), early]:
        device.synchronize()
        assert rows(device) == whole
    assert early.status().notices == []
    _one_entry_each(story, whole)


def _one_entry_each(story: Story, whole: Rows) -> None:
    held = story.deployment.held()
    assert sorted(record.id for record in held if not record.deleted) == sorted(whole)
    assert len({record.key for record in held}) == len(held)
