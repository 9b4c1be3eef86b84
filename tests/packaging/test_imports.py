"""What importing the core and looking for adapters loads, and costs, where every adapter is installed."""

from __future__ import annotations

import statistics

from tests.packaging.environments import Environments
from tests.packaging.figures import note

LOADED = """
import sys
import mobync_core
from mobync_core.plugins import discover
assert len(discover().installed) == 6
modules = {name.partition(".")[0] for name in sys.modules}
import importlib.metadata, json
owners = importlib.metadata.packages_distributions()
print(json.dumps([sorted({owner for module in modules for owner in owners.get(module, [])}), "sqlite3" in modules]))
"""

# Nothing is imported before but `time`, which is built in.
TIMES = """
import time
begun = time.perf_counter()
import mobync_core
imported = time.perf_counter()
from mobync_core.plugins import discover
discover()
print([1000 * (imported - begun), 1000 * (time.perf_counter() - imported)])
"""
RUNS = 21


def test_neither_the_core_nor_discovery_imports_a_driver(environment: Environments) -> None:
    place = environment("all")
    loaded, sqlite3_is_loaded = place.answer("-c", LOADED)

    adapters = {"mobync-memory", "mobync-mongodb", "mobync-redis", "mobync-sql"}
    allowed = {"typing_extensions"}  # msgspec takes it where it is; no dependency of ours
    assert set(loaded) - allowed == {"mobync-core", "pluggy", "msgspec", *adapters}
    assert not sqlite3_is_loaded
    assert place.installed() > {"psycopg", "pymysql", "pymongo", "redis", "sqlalchemy", "sortedcontainers"}


def test_importing_and_discovery_are_quick(environment: Environments) -> None:
    place = environment("all")
    place.answer("-c", TIMES)  # which compiles
    importing, discovering = zip(*(place.answer("-c", TIMES) for _ in range(RUNS)), strict=True)

    for what, times in (("import mobync_core", importing), ("discovery of all adapters", discovering)):
        note(f"{what}: {statistics.median(times):.1f} ms, at best {min(times):.1f} ms, in {RUNS} new processes")
    # Against a slip by an order of magnitude only, for the machine may be busy; what is loaded is checked above.
    assert statistics.median(importing) < 600
    assert statistics.median(discovering) < 200
