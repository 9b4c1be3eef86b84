"""Which collection of the application a model is, and what of its documents devices see."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from pymongo.collection import Collection as MongoCollection

from mobync_core.limits import FieldRules, Limits
from mobync_mongodb.kinds import KINDS, NAMES, PLAIN, Kind, name_to_text, text_to_name

GUARD = "_mobync"
"""The field of each bound document that is Mobync's.

`by` names the commit, or the insertion by the application, that wrote the document last as a whole or from a record;
`mark` and `at` say that the application wrote it since, and when (UTC ms).
"""

INSERTED = "inserted"
"""In `by` before the commit that made the document, if none wrote it since."""


@dataclass(frozen=True)
class Binding:
    """Says that the records of a model are the documents of a collection of the application.

    `collection` is its name, or a PyMongo collection of the storage's database. All names are those of top-level
    fields of the documents.
    """

    collection: str | MongoCollection[Any]
    _: KW_ONLY
    owner: str
    """The field that holds the owner; ``_id`` if each owner has one document, himself."""
    model: str = ""
    """The model as devices know it; the collection's name if it is not given."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Those with another name on the devices: name on the devices to name in the documents."""
    hidden: Collection[str] = ()
    """Those that devices never see and may not write."""
    read_only: Collection[str] = ()
    """Those that devices see and may not write."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Those that are no plain JSON: datetime, objectid, decimal, uuid or binary.

    The owner, and the ids as ``_id``, are texts unless they are said to be objectid, uuid or integer here.
    """


@dataclass(frozen=True)
class BoundCollection:
    """A collection as a model, as its binding says."""

    model: str
    collection: str
    owner: str
    fields: Mapping[str, str]
    hidden: frozenset[str]
    read_only: frozenset[str]
    types: Mapping[str, str]

    @classmethod
    def described(cls, description: Mapping[str, Any]) -> BoundCollection:
        """Make it again of what `description` returned, in another process maybe."""
        return cls(
            description["model"],
            description["collection"],
            description["owner"],
            dict(description["fields"]),
            frozenset(description["hidden"]),
            frozenset(description["read_only"]),
            dict(description["types"]),
        )

    def description(self) -> dict[str, Any]:
        """Return it as a document to keep. Equal bindings have equal ones."""
        return {
            "model": self.model,
            "collection": self.collection,
            "owner": self.owner,
            "fields": [list(pair) for pair in sorted(self.fields.items())],  # pairs: their names may hold a dot
            "hidden": sorted(self.hidden),
            "read_only": sorted(self.read_only),
            "types": [list(pair) for pair in sorted(self.types.items())],
        }

    def owner_text(self, document: Mapping[str, Any]) -> str | None:
        """Return the owner of a document, or None if it has none that a device could have."""
        try:
            return name_to_text(self.types.get(self.owner, "text"), document.get(self.owner))
        except ValueError:
            return None

    def owner_value(self, owner: str) -> Any:
        """Return the owner as documents have it. Raises `ValueError` with the end of a sentence if none can."""
        return text_to_name(self.types.get(self.owner, "text"), owner)

    def id_text(self, id: Any) -> str | None:
        """Return the text of an ``_id``; None if it has none.

        A collection may hold ids of several types. Texts are those that name none of the declared type.
        """
        kind = self.types.get("_id", "text")
        if kind != "text" and isinstance(id, str):
            return id if self.id_value(id) == id else None
        try:
            return name_to_text(kind, id)
        except ValueError:
            return None

    def id_value(self, id: str) -> Any:
        """Return the ``_id`` whose text is `id`."""
        try:
            return text_to_name(self.types.get("_id", "text"), id)
        except ValueError:
            return id

    def name_of(self, field: str) -> str | None:
        """Return which field of the documents a field of the records is; None if it is none."""
        if field in self.fields:
            return self.fields[field]
        taken = {"_id", GUARD, self.owner, *self.hidden, *self.fields.values()}
        return None if field in taken or field.startswith("$") or "." in field else field

    def field_of(self, name: str) -> str | None:
        """Return which field of the records a field of the documents is; None if devices do not see it."""
        if name in ("_id", GUARD, self.owner) or name in self.hidden:
            return None
        for given, renamed in self.fields.items():
            if renamed == name:
                return given
        # Else it would stand for the record's id, or for the field that has this name on the devices.
        return None if name == "id" or name in self.fields else name

    def kind(self, name: str) -> Kind:
        """Return the kind of a field of the documents."""
        return KINDS[self.types[name]] if name in self.types else PLAIN

    def told(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a document as devices see them, without nulls.

        What is no JSON stays as it is: the engine says so, and keeps the document from the devices.
        """
        fields = {}
        for name, value in document.items():
            given = self.field_of(name)
            if value is None or given is None:
                continue
            try:
                fields[given] = self.kind(name).to_json(value)
            except ValueError:
                fields[given] = value if not isinstance(value, str | int | float | bool) else OfAnotherType()
        return fields

    def fault(self, owner: str, fields: Mapping[str, Any]) -> str | None:
        """Say why no document can have these fields; None if one can."""
        try:
            self.owner_value(owner)
        except ValueError as error:
            return f"the owner {error}"
        for given, value in fields.items():
            name = self.name_of(given)
            if name is None:
                return f"{self.model} has no field {given!r}"
            try:
                if value is not None:
                    self.kind(name).to_bson(value)
            except ValueError as error:
                return f"{given!r} {error}"
        return None


class OfAnotherType:
    """Stands for a value that is not of the type that the binding says."""


def resolve(binding: Binding, database: str) -> BoundCollection:
    """Look through a binding. Raises `ValueError` or `TypeError`, which say what is wrong and what to do."""
    given = binding.collection
    if isinstance(given, MongoCollection) and given.database.name != database:
        raise ValueError(
            f"the collection {given.full_name} lies in another database than Mobync's collections, {database}: give "
            "MongoStorage that database"
        )
    collection = given.name if isinstance(given, MongoCollection) else given
    if not isinstance(collection, str) or not collection:
        raise TypeError(f"a binding has {given!r} as its collection: give a name or a PyMongo collection")
    model = binding.model or collection
    of = f"the binding of {model!r} to the collection {collection!r}"
    if collection.startswith("mobync_"):
        raise ValueError(f"{of}: that collection is Mobync's own: choose another")
    if fault := _NAMES.name_fault(model):
        raise ValueError(f"{of}: the model's name {fault}: give another one by model=")
    for where in ("hidden", "read_only"):
        if isinstance(getattr(binding, where), str):
            raise TypeError(f"{of} has one text as {where}=: give a list of names of fields")
    _check_names(binding, of)
    _check_types(binding, of)
    return BoundCollection(
        model,
        collection,
        binding.owner,
        dict(binding.fields),
        frozenset(binding.hidden),
        frozenset(binding.read_only),
        dict(binding.types),
    )


def _check_names(binding: Binding, of: str) -> None:
    for where, names in (
        ("owner", [binding.owner]),
        ("fields", binding.fields.values()),
        ("hidden", binding.hidden),
        ("read_only", binding.read_only),
        ("types", binding.types),
    ):
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"{of} has {name!r} in {where}=: give the name of a field, as a text")
            if not name or "." in name or name.startswith("$") or "\0" in name or name == GUARD:
                raise ValueError(f"{of} has {name!r} in {where}=: name a top-level field of the application's own")
            if where not in ("owner", "types") and name in ("_id", binding.owner):
                raise ValueError(f"{of} has {name!r} in {where}=, but it is the owner or the id: leave it out")
    both = set(binding.hidden) & {*binding.read_only, *binding.fields.values()}
    if both:
        raise ValueError(f"{of}: {min(both)!r} is hidden, and in fields= or read_only=, too: choose one")
    if len(set(binding.fields.values())) < len(binding.fields):
        raise ValueError(f"{of}: one field has two names in fields=: leave one out")
    for given in binding.fields:
        fault = "is that of a record's own id" if given == "id" else _NAMES.name_fault(given)
        if fault:
            raise ValueError(f"{of}: the name {given!r} in fields= {fault}: choose another")


def _check_types(binding: Binding, of: str) -> None:
    for name, kind in binding.types.items():
        allowed = NAMES if name in ("_id", binding.owner) else KINDS
        if kind not in allowed:
            raise ValueError(f"{of} says {kind!r} of {name!r} in types=: choose one of {', '.join(allowed)}")


_NAMES = FieldRules(Limits())
