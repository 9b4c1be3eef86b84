"""The ways in which an application writes rows through SQLAlchemy, where the rows of `shelf.fill` are."""

from tests.own_tables.writes import changes, inserts, units
from tests.own_tables.writes.registry import ONLY, WRITES, Write, unique_on

__all__ = ["ONLY", "WRITES", "Write", "changes", "inserts", "unique_on", "units"]
