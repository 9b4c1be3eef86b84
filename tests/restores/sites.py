"""What a storage and its tools are to the story of a restore."""

from __future__ import annotations

from typing import Protocol


class Site(Protocol):
    """A storage of one's own, with the tools that its operator has."""

    @property
    def url(self) -> str:
        """Where the storage is now: a restore may bring it to another place."""

    @property
    def idle(self) -> bool:
        """Whether Mobync must be stopped while a backup is made."""

    def back_up(self) -> None:
        """Make a backup by the storage's own tools."""

    def restore(self) -> None:
        """Put that backup in the place of what there is. Mobync is stopped then."""
