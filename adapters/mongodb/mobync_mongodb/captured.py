"""A bound collection as the application writes it: what PyMongo's does, and each write is told to Mobync."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument, WriteConcern
from pymongo.collection import Collection
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from mobync_mongodb.binding import GUARD, BoundCollection
from mobync_mongodb.bulk import Bulk, Request
from mobync_mongodb.outbox import BY, MARK, awaiting, chunks, fresh_mark
from mobync_mongodb.updates import ANY, SAME, Update, marked_document, marked_update, new_owner

Filter = Mapping[str, Any]

# fmt: off
_PASSED_ON = frozenset({
    "codec_options", "count_documents", "create_index", "create_indexes", "database", "distinct", "drop_index",
    "drop_indexes", "estimated_document_count", "find", "find_one", "find_raw_batches", "full_name",
    "index_information", "list_indexes", "list_search_indexes", "name", "options", "read_concern", "read_preference",
    "watch", "write_concern",
})
# fmt: on
_FOUND_BY = frozenset({"collation", "hint", "let", "session", "sort"})


class CapturedCollection:
    """A PyMongo collection whose writes reach the devices.

    It has the methods of `pymongo.collection.Collection`, with their keywords, results and errors. An update or an
    insert marks the document itself, in the same command. Before a delete, or where the owner may change, the documents
    are found first, and an entry is made for each of the owners that they leave. What cannot be caught is refused.
    """

    def __init__(self, collection: Collection[Any], bound: BoundCollection, settle: Callable[[str], None]) -> None:
        if not collection.write_concern.acknowledged:
            raise ValueError(f"writes to {collection.name} are not acknowledged: what became of them cannot be caught")
        self._collection = collection
        self._bound = bound
        self._settle = settle
        concern = WriteConcern("majority", j=True)  # no less than the write's own: the entry must not be what gets lost
        self._outbox = collection.database.get_collection("mobync_outbox", write_concern=concern)

    def __repr__(self) -> str:
        return f"CapturedCollection({self._collection!r})"

    def __getattr__(self, name: str) -> Any:
        if name in _PASSED_ON:
            return getattr(self._collection, name)
        if hasattr(Collection, name):
            raise AttributeError(
                f"{name} of {self._collection.name}, which is bound to a model, cannot be caught: use another method, "
                "or the collection itself and then MongoStorage.rescan"
            )
        raise AttributeError(name)

    def with_options(self, *args: Any, **options: Any) -> CapturedCollection:
        return CapturedCollection(self._collection.with_options(*args, **options), self._bound, self._settle)

    def aggregate(self, pipeline: Sequence[Mapping[str, Any]], *args: Any, **options: Any) -> Any:
        if any({"$out", "$merge"} & stage.keys() for stage in pipeline):
            raise ValueError("what $out or $merge write cannot be caught: use the collection itself, and then rescan")
        return self._collection.aggregate(pipeline, *args, **options)

    def insert_one(self, document: Any, **options: Any) -> InsertOneResult:
        return self._collection.insert_one(marked_document(_named(document)), **options)

    def insert_many(self, documents: Iterable[Any], ordered: bool = True, **options: Any) -> InsertManyResult:
        return self._collection.insert_many([marked_document(_named(each)) for each in documents], ordered, **options)

    def update_one(self, filter: Filter, update: Update, upsert: bool = False, **options: Any) -> UpdateResult:
        change = _Update(update, self._bound.owner)
        done: UpdateResult = self._one(change, filter, upsert, self._collection.update_one, options)
        return done

    def update_many(self, filter: Filter, update: Update, upsert: bool = False, **options: Any) -> UpdateResult:
        change = _Update(update, self._bound.owner)
        if change.owner is SAME:
            return self._collection.update_many(filter, change.marked(upsert=upsert), upsert, **options)
        matched = modified = 0
        for found in chunks(self._find(filter, options, 0)):
            self._say(found, change)
            mark = fresh_mark()
            done = 0
            for moves in (False, True):
                part = [each for each in found if (each[self._bound.owner] != change.owner) is moves]
                if part:
                    result = self._collection.update_many(
                        _among(filter, part), change.marked(mark, moves=moves), **options
                    )
                    done, modified = done + result.matched_count, modified + result.modified_count
            matched += done
            if done < len(found):  # others wrote them meanwhile
                for document in found:
                    left = {**filter, "_id": document["_id"], MARK: {"$ne": mark[MARK]}}
                    one: UpdateResult = self._one(change, left, False, self._collection.update_one, options)
                    matched, modified = matched + one.matched_count, modified + one.modified_count
        if upsert and not matched:
            inserted: UpdateResult = self._upsert(filter, change, self._collection.update_many, options)
            return inserted
        return UpdateResult({"n": matched, "nModified": modified, "updatedExisting": matched > 0}, True)

    def replace_one(self, filter: Filter, replacement: Any, upsert: bool = False, **options: Any) -> UpdateResult:
        change = _Replacement(replacement, self._bound.owner)
        done: UpdateResult = self._one(change, filter, upsert, self._collection.replace_one, options)
        return done

    def delete_one(self, filter: Filter, **options: Any) -> DeleteResult:
        for part in self._left_by_one(filter, None, options):
            done = self._collection.delete_one(part, **options)
            if done.deleted_count:
                return done
        return DeleteResult({"n": 0}, True)

    def delete_many(self, filter: Filter, **options: Any) -> DeleteResult:
        deleted = 0
        for found in chunks(self._find(filter, options, 0)):
            self._say(found, None)
            done = self._collection.delete_many(_among(filter, found), **options)
            deleted += done.deleted_count
            if done.deleted_count < len(found):  # others wrote them meanwhile
                deleted += sum(
                    self.delete_one({**filter, "_id": each["_id"]}, **options).deleted_count for each in found
                )
        return DeleteResult({"n": deleted}, True)

    def find_one_and_update(
        self, filter: Filter, update: Update, projection: Any = None, sort: Any = None, upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE, **options: Any,
    ) -> Any:  # fmt: skip
        found = {"projection": projection, "sort": sort, "return_document": return_document, **options}
        change = _Update(update, self._bound.owner)
        return self._one(change, filter, upsert, self._collection.find_one_and_update, found)

    def find_one_and_replace(
        self, filter: Filter, replacement: Any, projection: Any = None, sort: Any = None, upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE, **options: Any,
    ) -> Any:  # fmt: skip
        found = {"projection": projection, "sort": sort, "return_document": return_document, **options}
        change = _Replacement(replacement, self._bound.owner)
        return self._one(change, filter, upsert, self._collection.find_one_and_replace, found)

    def find_one_and_delete(self, filter: Filter, projection: Any = None, sort: Any = None, **options: Any) -> Any:
        options |= {"sort": sort}
        for part in self._left_by_one(filter, None, options):
            found = self._collection.find_one_and_delete(part, projection, **options)
            if found is not None:
                return found
        return None

    def bulk_write(self, requests: Sequence[Request], ordered: bool = True, **options: Any) -> BulkWriteResult:
        """As PyMongo's, in as many parts as need be: a delete, a replacement, a change of the owner is one of its own.

        What a part raises, but for the refusal of single requests, leaves the parts before it done.
        """
        return Bulk(self._collection, self, self._bound.owner, requests, ordered, options).done()

    def _one(
        self,
        change: _Update | _Replacement,
        filter: Filter,
        upsert: bool,
        write: Callable[..., Any],
        options: Mapping[str, Any],
    ) -> Any:
        """Do to one document what `write` does, which returns its result, or the document."""
        if change.owner is SAME:
            return write(filter, change.marked(upsert=upsert), upsert=upsert, **options)
        for part in self._left_by_one(filter, change, options):
            done = write(part, change.marked(moves=part[self._bound.owner] != change.owner), **options)
            if done.matched_count if isinstance(done, UpdateResult) else done is not None:
                return done
        if upsert:
            return self._upsert(filter, change, write, options)
        is_result = write in (self._collection.update_one, self._collection.replace_one)
        return UpdateResult({"n": 0, "nModified": 0}, True) if is_result else None

    def _upsert(
        self, filter: Filter, change: _Update | _Replacement, write: Callable[..., Any], options: Mapping[str, Any]
    ) -> Any:
        """Insert, as nothing was found; what came since is not taken from another owner unseen."""
        if change.owner is ANY:
            raise ValueError("an upsert whose owner only the server knows cannot be caught: use $set with a value")
        only = {"$and": [filter, {self._bound.owner: change.owner}]}
        return write(only, change.marked(upsert=True), upsert=True, **options)

    def _left_by_one(
        self, filter: Filter, change: _Update | _Replacement | None, options: Mapping[str, Any]
    ) -> Iterator[Filter]:
        """Find a document, and say that its owner may lose it; again while others are faster. Yields what finds it."""
        while True:
            found = self._find(filter, options, 1)
            if not found:
                return
            self._say(found, change)
            yield {**filter, **found[0]}  # it had these values when the filter matched it

    def _find(self, filter: Filter, options: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
        """Return of documents what finds them again as long as they are the same: None for what is not there."""
        of_find = {name: value for name, value in options.items() if name in _FOUND_BY and value is not None}
        codec = self._collection.codec_options.with_options(document_class=dict)
        collection: Collection[dict[str, Any]] = self._collection.with_options(codec_options=codec)
        owner = self._bound.owner
        found = collection.find(filter, ["_id", owner, BY], limit=limit, **of_find)
        return [{owner: one.get(owner), "_id": one["_id"], BY: one.get(GUARD, {}).get("by")} for one in found]

    def _say(self, documents: Sequence[Mapping[str, Any]], change: _Update | _Replacement | None) -> None:
        said = []
        after = self._bound.owner_text({self._bound.owner: change.owner}) if change is not None else None
        for document in documents:
            owner, id = self._bound.owner_text(document), self._bound.id_text(document["_id"])
            if owner is not None and id is not None and owner != after:
                said.append(awaiting(owner, (self._bound.model, id), document[BY]))
        if said:
            self._outbox.insert_many(said, ordered=False)
        if change is None:
            # While the commit that makes a document is being rolled, some process might make it a second time.
            for owner in {entry["owner"] for entry in said if isinstance(entry["awaits"], dict)}:
                self._settle(owner)


class _Update:
    """An update, and the owner that it gives a document."""

    def __init__(self, update: Update, name: str) -> None:
        self._update = update
        self.marked()  # refuses what cannot be, before anything is done
        self.owner = new_owner(update, name)

    def marked(self, mark: dict[str, Any] | None = None, *, moves: bool = False, upsert: bool = False) -> Any:
        marked = marked_update(self._update, mark or fresh_mark(), moves=moves)
        if upsert and not moves and isinstance(marked, dict):
            marked["$setOnInsert"] = {**marked.get("$setOnInsert", {}), BY: ObjectId()}
        return marked


class _Replacement:
    """A document to put in another's place, whoever owns that."""

    def __init__(self, document: Mapping[str, Any], name: str) -> None:
        self._document = document
        self.owner = document.get("_id", ANY) if name == "_id" else document.get(name)

    def marked(self, *, moves: bool = True, upsert: bool = False) -> Any:
        del moves, upsert
        return marked_document(self._document)


def _among(filter: Filter, documents: Sequence[Mapping[str, Any]]) -> Filter:
    """Return the filter for some of what it found."""
    alike: list[tuple[dict[str, Any], list[Any]]] = []
    for document in documents:
        common = {name: value for name, value in document.items() if name != "_id"}
        if not alike or alike[-1][0] != common:
            alike.append((common, []))
        alike[-1][1].append(document["_id"])
    groups = [{**common, "_id": {"$in": ids}} for common, ids in alike]
    return {**filter, "$and": [*filter.get("$and", ()), {"$or": groups}]}


def _named(document: Any) -> Any:
    """Give a document an id, as PyMongo does."""
    if "_id" not in document:
        document["_id"] = ObjectId()
    return document
