"""Owners and ids: the columns whose values name a record, and so have one text each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mobync_sql.codecs.base import Codec
from mobync_sql.codecs.values import TextCodec, UuidCodec
from mobync_sql.schema import identifier


@dataclass(frozen=True)
class IdentityCodec:
    """Turns what an owner's or an id's column holds into its one text, and back."""

    codec: Codec
    """A `TextCodec`, `mobync_sql.codecs.numbers.IntegerCodec` or a `UuidCodec`."""

    @property
    def kind(self) -> str:
        return self.codec.kind

    def to_text(self, value: Any) -> str:
        """Return the text of what SQLAlchemy read. Raises `ValueError` as `Codec.to_json` does."""
        return str(self.codec.to_json(value))

    def to_column(self, text: str) -> Any:
        """Return the Python value whose text is `text`.

        Raises `ValueError`, with the end of a sentence, if there is none: "007" is no integer's text.
        """
        wanted: Any = text
        if self.kind == "integer":
            try:
                wanted = int(text)
            except ValueError:
                raise ValueError("must be the text of a whole number") from None
        value = self.codec.to_column(wanted)
        if (canonical := self.to_text(value)) != text:
            raise ValueError(f"must be written as {canonical!r}")
        return value

    def sql(self, column: ColumnElement[Any]) -> ColumnElement[str]:
        """Return the SQL expression of the text of `column`, of the type of the columns of Mobync's own tables.

        `column` may be any expression of such a value, as ``literal_column("NEW.id")``. It has no parameters.
        """
        match self.codec:
            case TextCodec(padded=True):
                return _PaddedText(column)
            case UuidCodec(native=True):
                return _UuidText(column)
            case UuidCodec():
                return _HexText(column)
        return _IntegerText(column) if self.kind == "integer" else _Text(column)


class _Text(FunctionElement[str]):
    """Of a text: the same, in UTF-8, and compared byte by byte."""

    inherit_cache = True
    name = "text"
    type = identifier()


class _PaddedText(_Text):
    """Of a CHAR, whose blanks at the end only some databases leave out by themselves."""

    inherit_cache = True


class _IntegerText(_Text):
    inherit_cache = True


class _HexText(_Text):
    """Of a UUID that is stored as text, with dashes or without."""

    inherit_cache = True


class _UuidText(_HexText):
    """Of a UUID where the database knows UUIDs, or as `_HexText` where it does not."""

    inherit_cache = True


def _dashed(text: str) -> str:
    digits = f"replace(lower({text}), '-', '')"
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return "(" + " || '-' || ".join(f"substr({digits}, {start}, {length})" for start, length in parts) + ")"


@compiles(_Text, "sqlite")
def _on_sqlite(element: _Text, compiler: SQLCompiler, **kw: Any) -> str:
    text = f"CAST({compiler.process(element.clauses, **kw)} AS TEXT)"
    if isinstance(element, _HexText):
        return _dashed(text)
    return f"rtrim({text})" if isinstance(element, _PaddedText) else text


@compiles(_Text, "postgresql")
def _on_postgresql(element: _Text, compiler: SQLCompiler, **kw: Any) -> str:
    text = f"CAST({compiler.process(element.clauses, **kw)} AS TEXT)"  # of a CHAR without its blanks
    if isinstance(element, _HexText) and not isinstance(element, _UuidText):
        text = _dashed(text)
    return f'({text} COLLATE "C")'


@compiles(_Text, "mysql", "mariadb")
def _on_mariadb(element: _Text, compiler: SQLCompiler, **kw: Any) -> str:
    text = compiler.process(element.clauses, **kw)
    if isinstance(element, _IntegerText):
        return f"CAST(({text}) + 0 AS BINARY)"  # ZEROFILL adds zeros only to what is no result of arithmetic
    text = f"CONVERT({text} USING utf8mb4)"
    if isinstance(element, _HexText):  # the dialect's name decides how SQLAlchemy stores it, so be ready for both
        text = f"REPLACE(LOWER({text}), '-', '')"
        for position in (21, 17, 13, 9):
            text = f"INSERT({text}, {position}, 0, '-')"
    elif isinstance(element, _PaddedText):
        text = f"RTRIM({text})"
    return f"CAST({text} AS BINARY)"
