"""The library shown at work: ``mobync demo``. Needs the extras ``server`` and ``client``."""

from mobync_core.demo.story import run

__all__ = ["run"]
