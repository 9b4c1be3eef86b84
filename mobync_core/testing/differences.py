"""Says in a few lines how what a storage gave differs from what it should have given.

pytest's own words for two long lists of records would be cut off before the one that matters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any, TypeAlias

import pytest

from mobync_core.storage import Note, Record, Snapshot

HEADLINE = "what is there == what should be there"
"""What pytest puts between ``assert`` and the lines that tell the difference."""

_PLUGIN = "mobync-differences"
_MOST = 5
"""How many differences are told; pytest cuts off what is longer than 8 lines."""

_WIDTH = 110

_Item: TypeAlias = Record | Note


class _Explained:
    """Tells pytest what to say when an assertion on records, notes or snapshots fails."""

    def pytest_assertrepr_compare(self, op: str, left: object, right: object) -> list[str] | None:
        if op != "==" or not (_is_known(left) or _is_known(right)):
            return None
        return [HEADLINE, *differences(left, right)]


def explain_differences(config: pytest.Config) -> None:
    """Have failed assertions explained in this run of pytest."""
    if not config.pluginmanager.has_plugin(_PLUGIN):
        config.pluginmanager.register(_Explained(), _PLUGIN)


def differences(found: object, wanted: object) -> list[str]:
    """Return a line for each difference, the first few of them."""
    told = _differences(found, wanted)
    first = [line if len(line) <= _WIDTH else f"{line[:_WIDTH]}…" for line in islice(told, _MOST)]
    left = sum(1 for _ in told)
    return [*first, f"and {left} more"] if left else first


def _is_known(value: object) -> bool:
    if isinstance(value, Mapping):
        return _is_known(list(value.values()))
    if isinstance(value, list | tuple):
        return any(_is_known(part) for part in value)
    return isinstance(value, Snapshot | Record | Note)


def _differences(found: Any, wanted: Any) -> Iterator[str]:
    if found == wanted:
        return
    if isinstance(found, Snapshot) and isinstance(wanted, Snapshot):
        for name in ("clock", "epoch", "purged"):
            if getattr(found, name) != getattr(wanted, name):
                yield f"{name} is {getattr(found, name)!r}, not {getattr(wanted, name)!r}"
        for name in ("changed", "named"):
            for line in _of_items(list(getattr(found, name)), list(getattr(wanted, name))):
                yield f"{name}: {line}"
    elif isinstance(found, Mapping) and isinstance(wanted, Mapping):
        yield from _of_items(list(found.values()), list(wanted.values()), ordered=False)
    elif _are_items(found) and _are_items(wanted):
        yield from _of_items(found, wanted)
    elif isinstance(found, tuple) and isinstance(wanted, tuple) and len(found) == len(wanted):
        for one, other in zip(found, wanted, strict=True):
            yield from _differences(one, other)
    else:
        yield f"{found!r}, not {wanted!r}"


def _are_items(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, Record | Note) for one in value)


def _of_items(found: Sequence[_Item], wanted: Sequence[_Item], *, ordered: bool = True) -> Iterator[str]:
    there, wanted_there = ({_name(one): one for one in items} for items in (found, wanted))
    for name, one in wanted_there.items():
        if name not in there:
            yield f"{_told(one)} is missing"
        else:
            parts = [(field.name, getattr(there[name], field.name), getattr(one, field.name)) for field in fields(one)]
            wrong = [f"its {part} is {_short(is_so)}, not {_short(due)}" for part, is_so, due in parts if is_so != due]
            if wrong:
                yield f"{_told(one)}: {', '.join(wrong)}"
    for name, one in there.items():
        if name not in wanted_there:
            yield f"{_told(one)} should not be there"
    if len(found) != len(there):
        yield f"{len(found)} came, of which {len(found) - len(there)} came before"
    if ordered and there == wanted_there:
        for place, (one, other) in enumerate(zip(found, wanted, strict=False), 1):
            if one != other:
                yield f"number {place} is {_told(one)}, not {_told(other)}"
                return


def _name(item: _Item) -> tuple[str, str]:
    return (item.model, item.id) if isinstance(item, Record) else (item.kind, item.key)


def _told(item: _Item) -> str:
    if isinstance(item, Note):
        return f"the {item.kind} note {_short(item.key)}"
    tombstone = "the tombstone " if item.deleted else ""
    return f"{tombstone}{item.model} {_short(item.id)} at clock {item.clock}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:20]}…{text[-10:]} ({len(text)} characters)"
