"""The library shown at work: ``mobync demo``. Needs the extra ``server``."""

from mobync_core.demo.story import run

__all__ = ["run"]
