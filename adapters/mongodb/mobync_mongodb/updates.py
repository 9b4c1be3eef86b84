"""What an update of the application does to a document's guard and to its owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson import ObjectId

from mobync_mongodb.binding import GUARD
from mobync_mongodb.layout import Document
from mobync_mongodb.outbox import BY, fresh_mark

Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]

ANY, SAME = object(), object()
"""Stand for an owner that only the server knows, and for the one that a document has."""


def marked_document(document: Mapping[str, Any]) -> Document:
    """Return a document to insert, or to put in another's place, marked."""
    guard = {path.removeprefix(f"{GUARD}."): value for path, value in fresh_mark().items()}
    return {**document, GUARD: {"by": ObjectId(), **guard}}


def marked_update(update: Update, mark: Document, *, moves: bool = False) -> Update:
    """Return an update that marks the document as well, by what `fresh_mark` returned.

    One that `moves` it to another owner makes it another document to whoever has read it before. What a document that
    was read says of itself is left out of what is set. Raises `ValueError` for what else would change it.
    """
    if moves:
        mark = {**mark, BY: ObjectId()}
    if not isinstance(update, Mapping):
        return [*update, {"$set": {path: {"$literal": value} for path, value in mark.items()}}]
    changed = {}
    for operator, fields in update.items():
        if not operator.startswith("$"):
            raise ValueError(f"an update holds operators such as $set, not {operator!r}: use replace_one")
        of_guard = {name for name in fields if name == GUARD or name.startswith(f"{GUARD}.")}
        if of_guard and operator not in ("$set", "$setOnInsert"):
            raise ValueError(f"{operator} would change {GUARD}, which is Mobync's: leave it out")
        changed[operator] = {name: value for name, value in fields.items() if name not in of_guard}
    changed["$set"] = {**changed.get("$set", {}), **mark}
    return changed


def new_owner(update: Update, name: str) -> Any:
    """Return what an update makes the field `name`, the owner: a value, `ANY` or `SAME`."""
    if not isinstance(update, Mapping):
        return SAME if all(_spares(stage, name) for stage in update) else ANY
    found = SAME
    for operator, fields in update.items():
        for path, value in fields.items():
            if path == name and operator == "$set":
                found = value
            elif operator != "$setOnInsert" and name in (
                path.partition(".")[0],
                value if operator == "$rename" else "",
            ):
                return ANY
    return found


_SETTING = {"$set", "$addFields", "$unset"}


def _spares(stage: Mapping[str, Any], name: str) -> bool:
    """Whether a stage of a pipeline surely leaves a field as it is."""
    named = [path for fields in stage.values() for path in ([fields] if isinstance(fields, str) else fields)]
    return stage.keys() <= _SETTING and not any(path.partition(".")[0] == name for path in named)
