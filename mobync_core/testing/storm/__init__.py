"""Storms: random histories of many devices in which everything goes wrong that can, and what must hold in the end.

`storm` runs them, `replay` one of them. A `History` is plain data: what a storm finds can be kept as a test.
"""

from __future__ import annotations

from mobync_core.testing.storm.checks import Violation
from mobync_core.testing.storm.exhaustive import Exhausted, exhaust
from mobync_core.testing.storm.faults import FAULTS, Fault, UnknownFault, rates_of
from mobync_core.testing.storm.history import History, as_data, from_data
from mobync_core.testing.storm.running import Failure, Report, replay, storm, timeline
from mobync_core.testing.storm.staging import NotThrowAway, Staging
from mobync_core.testing.storm.written import as_test

__all__ = [
    "FAULTS",
    "Exhausted",
    "Failure",
    "Fault",
    "History",
    "NotThrowAway",
    "Report",
    "Staging",
    "UnknownFault",
    "Violation",
    "as_data",
    "as_test",
    "exhaust",
    "from_data",
    "rates_of",
    "replay",
    "storm",
    "timeline",
]
