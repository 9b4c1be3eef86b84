"""What the adapter's README shows of own collections is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from pymongo import MongoClient

from mobync_core import Mobync
from tests.own_tables.devices import Device

README = Path(__file__).parents[2] / "adapters" / "mongodb" / "README.md"


def test_the_example(mongodb_url: str) -> None:
    shown = MarkdownIt().parse(README.read_text(encoding="utf-8"))
    (source,) = [token.content for token in shown if token.type == "fence" and token.info == "python with a server"]
    url = "mongodb://127.0.0.1:27017/app"
    assert source.count(url) == 1
    with MongoClient[dict[str, Any]](mongodb_url) as client:
        tasks = client.get_default_database().tasks
        tasks.insert_one({"_id": "t1", "user_id": "ada", "title": "milk", "note": "x"})
        names: dict[str, Any] = {}
        exec(source.replace(url, mongodb_url), names)
        mobync = names["mobync"]
        assert isinstance(mobync, Mobync)
        device = Device(mobync, "ada")
        device.sync()
        assert device.rows == {("todo", "t1"): {"text": "milk", "approved": True}}
        device.create("todo", "t2", {"text": "bread", "due": "2026-12-24T10:00:00Z"})
        device.sync()
        found = tasks.find_one({"_id": "t2"})
        assert found is not None
        assert (found["user_id"], found["title"], found["due"].year) == ("ada", "bread", 2026)
        names["client"].close()
