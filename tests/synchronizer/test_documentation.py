"""What `docs/original.md` and the READMEs of the examples show is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from mobync_core import FilterType, InvalidRecord
from tests.core.sent import diff, told

ROOT = Path(__file__).parents[2]


def blocks(file: str, language: str) -> list[str]:
    tokens = MarkdownIt().parse((ROOT / file).read_text(encoding="utf-8"))
    return [token.content for token in tokens if token.type == "fence" and token.info == language]


@pytest.fixture
def shown() -> list[dict[str, Any]]:
    """What the three blocks define, each knowing what the one before it does."""
    names: dict[str, Any] = {}
    defined = []
    for block in blocks("docs/original.md", "python"):
        exec(compile(block, "docs/original.md", "exec"), names)
        defined.append(dict(names))
    return defined


def test_the_blocks_run_and_do_what_they_say(shown: list[dict[str, Any]]) -> None:
    simple, in_transactions, moved = shown

    assert simple["compare"].keys() == {FilterType.equal, FilterType.majorOrEqual}
    mobync = in_transactions["mobync"]
    answer = mobync.apply(1, [diff("create", "b"), diff("create", "c", title="Tea")], "ann", explain=True)
    assert [one["result"] for one in answer["outcomes"]] == ["refused", "applied"]
    assert answer["outcomes"][0]["reason"] == "NOT NULL constraint failed: todo.title"
    assert told(answer) == [("delete", {"id": "b"})]
    with pytest.raises(InvalidRecord, match="NOT NULL"):
        mobync.create("ann", "todo", {})
    assert [one["title"] for one in moved["mobync"].records("ann", "todo")] == ["Milk", "Tea"]
    mobync.synchronizer.db.close()


@pytest.mark.parametrize("name", ["flask-in-memory", "flask-sql"])
def test_an_example_is_started_as_its_test_starts_it(name: str) -> None:
    commands = blocks(f"examples/{name}/README.md", "console")

    starting = [command.rstrip() for command in commands if not command.startswith("curl")]
    assert starting
    assert all(command.endswith(f"flask --app examples/{name}/app.py run") for command in starting)
