"""Which bound tables refer to which, and what a database does to rows when what they refer to goes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sqlalchemy import Column, Connection, select

from mobync_sql import outbox
from mobync_sql.bound import BoundTable

_CHANGES = {"CASCADE", "SET NULL", "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Reference:
    """A column of `child` that refers to the column `referred` of `parent`.

    `on_delete` is what the database does to rows of the child when those of the parent go, "" if it refuses. Of a key
    of several columns this is the first: that names too many rows, which does no harm.
    """

    child: BoundTable
    column: Column[Any]
    parent: BoundTable
    referred: Column[Any]
    on_delete: str
    is_whole: bool


def references(tables: Collection[BoundTable]) -> list[Reference]:
    """Find the references between these tables. They are told by names: not all tables need be of one `MetaData`."""
    by_name = {bound.table.fullname: bound for bound in tables}
    found = []
    for child in tables:
        for constraint in child.table.foreign_key_constraints:
            element = constraint.elements[0]
            name, _, column = element.target_fullname.rpartition(".")
            parent = by_name.get(name)
            if parent is not None and column in parent.table.c:
                done = (constraint.ondelete or "").upper()
                whole = len(constraint.elements) == 1
                found.append(
                    Reference(
                        child,
                        element.parent,
                        parent,
                        parent.table.c[column],
                        done if done in _CHANGES else "",
                        whole,
                    )
                )
    return found


def in_order(tables: Collection[BoundTable]) -> list[BoundTable]:
    """Sort tables so that those which are referred to come first, as far as they do not refer to each other."""
    by_model = {bound.model: bound for bound in sorted(tables, key=lambda bound: bound.model)}
    graph: dict[str, set[str]] = {model: set() for model in by_model}
    for reference in references(tables):
        if reference.child is not reference.parent:
            graph[reference.child.model].add(reference.parent.model)
    try:
        return [by_model[model] for model in TopologicalSorter(graph).static_order()]
    except CycleError:
        return list(by_model.values())  # what fails for the order is tried again when others are done


def changed_by_delete(
    connection: Connection, bound: BoundTable, ids: Sequence[Any], all_references: Collection[Reference]
) -> Iterator[tuple[str, str, str]]:
    """Find the (owner, model, id) of the rows in bound tables that a delete of these rows of `bound` changes as well.

    A table in between that is not bound ends the chain.
    """
    seen: set[tuple[str, Any]] = set()
    going = [(bound, list(ids))]
    while going:
        parent, parent_ids = going.pop()
        for reference in all_references:
            if reference.parent is not parent or not reference.on_delete:
                continue
            child = reference.child
            found: list[Any] = []
            for part in outbox.chunks(parent_ids):
                parents = select(reference.referred).where(parent.id.in_(part))
                found += connection.execute(child.rows().where(reference.column.in_(parents))).all()
            fresh = [row for row in found if (child.model, row.row_id) not in seen]
            seen |= {(child.model, row.row_id) for row in fresh}
            yield from child.keys_of(fresh)
            if reference.on_delete == "CASCADE" and fresh:
                going.append((child, [row.row_id for row in fresh]))
