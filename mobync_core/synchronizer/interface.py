"""What the original library asked of its users: a class that reads and writes their own tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeAlias


class OperationType(Enum):
    """What a diff does. On the wire and in the diff table it is the name: ``"create"``."""

    create = 0
    update = 1
    delete = 2

    @classmethod
    def validate(cls, operation_type: object) -> bool:
        """Say whether this is the name of one."""
        return isinstance(operation_type, str) and operation_type in cls.__members__


class FilterType(Enum):
    """How a `ReadFilter` compares a column with its data: ``==``, ``>``, ``<``, ``>=``, ``<=``."""

    equal = 0
    major = 1
    minor = 2
    majorOrEqual = 3
    minorOrEqual = 4


@dataclass(slots=True)
class ReadFilter:
    """A condition on the rows to read: those whose column `field_name` compares so with `data`."""

    field_name: str
    filter_by: FilterType
    data: Any


Rows: TypeAlias = str | bytes | Sequence[Mapping[str, Any]]
"""Rows of a table: a JSON list of objects, or the like as Python objects."""


class Synchronizer(ABC):
    """An application's own tables and rules, and beside them a table of diffs.

    `where` names a table: a diff's model, or the table of diffs, whose columns are those of a `Diff`. `data_json` is
    a JSON object that always holds the row's ``id``. The methods are called from the threads that call `Mobync`, never
    by two of them for one owner.

    `RecordRejected` refuses the diffs of a record, and `StorageUnavailable` becomes `ServerBusy`. What else a method
    raises, `Mobync.apply` raises: what the device sent is then done in part, and sending it again completes it.
    """

    @abstractmethod
    def read(self, where: str, filters: list[ReadFilter]) -> Rows:
        """Return the rows of a table that pass all filters, in any order.

        Mobync filters by `FilterType.equal`, and the table of diffs by `FilterType.majorOrEqual` too.
        """

    @abstractmethod
    def create(self, where: str, data_json: str) -> Any:
        """Insert a row."""

    @abstractmethod
    def update(self, where: str, data_json: str) -> Any:
        """Set the columns that `data_json` names of the row with its id. Never called for the table of diffs."""

    @abstractmethod
    def delete(self, where: str, data_json: str) -> Any:
        """Remove the row with this id. Never called for the table of diffs."""

    @abstractmethod
    def validate_create(self, owner_id: str, **kwargs: Any) -> bool:
        """Say whether the owner may make this diff, whose fields are the keywords. No refuses that diff alone."""

    @abstractmethod
    def validate_update(self, owner_id: str, **kwargs: Any) -> bool:
        """Say whether the owner may make this diff."""

    @abstractmethod
    def validate_delete(self, owner_id: str, **kwargs: Any) -> bool:
        """Say whether the owner may make this diff."""

    def transaction(self, owner_id: str) -> AbstractContextManager[Any]:  # noqa: ARG002 - for who overrides it
        """Return what to enter around all reads and writes of one attempt; by default nothing.

        Where this begins a transaction that no other of the same owner may overlap, commits it at the end and rolls it
        back on an exception, a push is done whole or not at all, however many processes there are. It may raise
        `ConflictError` to have the attempt made again.
        """
        return nullcontext()
