"""A bulk write of the application, in parts: what must be looked for before it is written is a part of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bson import ObjectId
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, OperationFailure
from pymongo.results import BulkWriteResult

from mobync_mongodb.outbox import BY, fresh_mark
from mobync_mongodb.updates import SAME, marked_document, marked_update, new_owner

if TYPE_CHECKING:
    from mobync_mongodb.captured import CapturedCollection

Request = InsertOne[Any] | UpdateOne | UpdateMany | ReplaceOne[Any] | DeleteOne | DeleteMany

_COUNTS = ("nInserted", "nUpserted", "nMatched", "nModified", "nRemoved")


class Bulk:
    """The parts of one bulk write, and what they come to together.

    What PyMongo's requests hold they tell nobody: their attributes are read, as the driver itself does.
    """

    def __init__(
        self,
        collection: Collection[Any],
        captured: CapturedCollection,
        owner: str,
        requests: Sequence[Request],
        ordered: bool,
        options: Mapping[str, Any],
    ) -> None:
        self._collection = collection
        self._captured = captured
        self._owner = owner
        self._requests = requests
        self._ordered = ordered
        self._options = options
        self._sum: dict[str, Any] = {"writeErrors": [], "writeConcernErrors": [], "upserted": []}
        self._sum |= dict.fromkeys(_COUNTS, 0)

    def done(self) -> BulkWriteResult:
        """Do it. Raises what PyMongo's `bulk_write` raises."""
        if not self._requests:
            return self._collection.bulk_write([])  # which says what is wrong with that
        together: list[tuple[int, Any]] = []
        for place, request in enumerate(self._requests):
            marked = self._marked(request)
            if marked is not None:
                together.append((place, marked))
                continue
            self._write(together)
            together = []
            if not self._is_over():
                self._write_alone(place, request)
        self._write(together)
        if self._sum["writeErrors"] or self._sum["writeConcernErrors"]:
            raise BulkWriteError(self._sum)
        return BulkWriteResult(self._sum, True)

    def _is_over(self) -> bool:
        return self._ordered and bool(self._sum["writeErrors"])

    def _marked(self, request: Any) -> Any:
        """Return a request that marks what it writes; None if it has to be looked for before."""
        if isinstance(request, InsertOne):
            document: Any = request._doc
            if "_id" not in document:
                document["_id"] = ObjectId()
            return InsertOne(marked_document(document))
        if isinstance(request, UpdateOne | UpdateMany) and new_owner(request._doc, self._owner) is SAME:
            update: Any = marked_update(request._doc, fresh_mark())
            if request._upsert and isinstance(update, dict):
                update["$setOnInsert"] = {**update.get("$setOnInsert", {}), BY: ObjectId()}
            return type(request)(request._filter, update, bool(request._upsert), **_options(request))
        if isinstance(request, UpdateOne | UpdateMany | ReplaceOne | DeleteOne | DeleteMany):
            return None
        raise TypeError(f"{request!r} is no request that a bulk write can hold")

    def _write(self, together: Sequence[tuple[int, Any]]) -> None:
        if not together or self._is_over():
            return
        places = [place for place, _ in together]
        try:
            done = self._collection.bulk_write([request for _, request in together], self._ordered, **self._options)
            self._add(done.bulk_api_result, places)
        except BulkWriteError as error:
            self._add(error.details, places)

    def _write_alone(self, place: int, request: Any) -> None:
        captured = self._captured
        options = {**self._options, **_options(request)}
        try:
            if isinstance(request, DeleteOne | DeleteMany):
                options.pop("bypass_document_validation", None)
                delete = captured.delete_one if isinstance(request, DeleteOne) else captured.delete_many
                self._sum["nRemoved"] += delete(request._filter, **options).deleted_count
                return
            write = {UpdateOne: captured.update_one, UpdateMany: captured.update_many}.get(
                type(request), captured.replace_one
            )
            done = write(request._filter, request._doc, bool(request._upsert), **options)
        except BulkWriteError:
            raise
        except OperationFailure as error:
            if error.code is None:
                raise
            self._sum["writeErrors"].append({"index": place, "code": error.code, "errmsg": str(error), "op": request})
            return
        self._sum["nModified"] += done.modified_count or 0
        if done.upserted_id is None:
            self._sum["nMatched"] += done.matched_count
        else:
            self._sum["nUpserted"] += 1
            self._sum["upserted"].append({"index": place, "_id": done.upserted_id})

    def _add(self, result: Mapping[str, Any], places: Sequence[int]) -> None:
        for name in _COUNTS:
            self._sum[name] += result[name]
        for name in ("upserted", "writeErrors"):
            self._sum[name] += [{**each, "index": places[each["index"]]} for each in result[name]]
        self._sum["writeConcernErrors"] += result["writeConcernErrors"]


def _options(request: Any) -> dict[str, Any]:
    names = ("collation", "array_filters", "hint", "sort")
    found = {name: getattr(request, f"_{name}", None) for name in names}
    return {name: value for name, value in found.items() if value is not None}
