"""The one hook that a distribution with storage adapters implements.

It puts an entry point in the group ``mobync`` that names a module with an implementation::

    @hookimpl
    def mobync_storage_adapters() -> Iterable[Adapter]:
        return [Adapter(name="memory", schemes=("memory",), open=open_memory)]

The hook returns descriptors, never instances, and the module imports no driver: a program that only
looks for adapters must not pay for them, or die of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pluggy

from mobync_core.storage import Storage

GROUP = "mobync"
API = 1

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What not every storage can do.

    `persistent`: what was committed is there after the process ended. `shared`: several processes, and several
    storages of one process, may work on one store.
    """

    persistent: bool = True
    shared: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Describes a way to open storages by URL.

    `name` is how people call it. `schemes` are the URL schemes that it claims, in lower case. `open` takes
    the URL as it was given and returns a storage, without `setup`; it is the first place to import a
    driver, whose `ImportError` becomes `MissingDriver` with `install` as the way out. It raises `InvalidURL` (which a
    `ValueError` or `TypeError` becomes, too), and may raise `StorageUnavailable` if it connects at once.

    `abilities` are what its storages can do, or a function that tells it for a URL; the conformance suite holds the
    adapter to them. `api` is the version of the storage contract that the adapter was written for.
    """

    name: str
    schemes: tuple[str, ...]
    open: Callable[[str], Storage]
    install: str = ""
    abilities: Abilities | Callable[[str], Abilities] = Abilities()
    api: int = API

    def abilities_at(self, url: str) -> Abilities:
        """What the storage at `url` can do."""
        return self.abilities(url) if callable(self.abilities) else self.abilities


@hookspec
def mobync_storage_adapters() -> Iterable[Adapter]:
    """Return the descriptors of the adapters that this distribution has."""
    raise NotImplementedError  # a specification: pluggy never calls it
