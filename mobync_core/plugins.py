"""Finds the installed storage adapters and opens storages by URL."""

from __future__ import annotations

import difflib
import logging
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

import pluggy

from mobync_core import hookspecs
from mobync_core.errors import (
    AmbiguousScheme,
    InvalidURL,
    MissingDriver,
    MobyncError,
    UnknownScheme,
    UnsupportedAdapter,
)
from mobync_core.hookspecs import API, GROUP, Adapter
from mobync_core.storage import Storage
from mobync_core.urls import redact, scheme_of

logger = logging.getLogger("mobync")

# What to install for a scheme that nobody claims. Only a hint: an adapter claims its own schemes.
EXTRAS = {
    "memory": "memory",
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True, slots=True)
class Installed:
    """An adapter and the distribution that brought it, such as ``mobync-sql 0.1.0``."""

    adapter: Adapter
    distribution: str


@dataclass(frozen=True, slots=True)
class Broken:
    """An entry point that could not be loaded, and why."""

    name: str
    distribution: str
    error: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """What `discover` found."""

    installed: tuple[Installed, ...]
    broken: tuple[Broken, ...]

    def claimants(self, scheme: str) -> list[Installed]:
        """Return who claims `scheme`, which may name a driver as SQLAlchemy does (``postgresql+psycopg``)."""
        for claimed in (scheme, scheme.partition("+")[0]):
            if claimants := [found for found in self.installed if claimed in found.adapter.schemes]:
                return claimants
        return []


def discover() -> Discovery:
    """Load every entry point of the group ``mobync``, each on its own.

    One that fails is logged and listed as broken; it never keeps another from being found.
    """
    installed: list[Installed] = []
    broken: list[Broken] = []
    for entry_point in sorted(entry_points(group=GROUP), key=lambda found: (found.name, found.value)):
        distribution = _distribution(entry_point)
        try:
            installed += [Installed(adapter, distribution) for adapter in _adapters(entry_point)]
        except Exception as error:  # a stranger's plugin may raise anything at all
            logger.warning("the plugin %r of %s is broken: %r", entry_point.name, distribution, error)
            logger.debug("the plugin %r failed so", entry_point.name, exc_info=True)
            broken.append(Broken(entry_point.name, distribution, f"{type(error).__name__}: {error}"))
    return Discovery(tuple(installed), tuple(broken))


def open_storage(url: str) -> Storage:
    """Open the storage that `url` names, by the adapter that claims its scheme, without `setup`.

    A dialect's driver may be named as SQLAlchemy does it (``postgresql+psycopg://``). Raises `AdapterError`:
    `InvalidURL`, `UnknownScheme`, `AmbiguousScheme`, `MissingDriver` or `UnsupportedAdapter`, each of which says
    what to do; and `StorageUnavailable` where opening already connects.
    """
    adapter = installed_for(url).adapter
    try:
        return adapter.open(url)
    except ImportError as error:
        scheme = scheme_of(url)
        hint = adapter.install or _install(scheme) or f"pip install {error.name or adapter.name}"
        missing = f"{error.name}, which is not installed" if error.name else f"what could not be imported ({error})"
        raise MissingDriver(f"{scheme}:// needs {missing}: {hint}") from error
    except MobyncError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidURL(f"{redact(url)} cannot be opened: {redact(str(error))}") from None


def installed_for(url: str) -> Installed:
    """Find the one adapter that claims the scheme of `url`; raises as `open_storage` does."""
    scheme = scheme_of(url)
    found = discover()
    claimants = found.claimants(scheme)
    if not claimants:
        raise UnknownScheme(_no_claimant(scheme, found))
    if len(claimants) > 1:
        names = " and ".join(f"{claimant.adapter.name} ({claimant.distribution})" for claimant in claimants)
        raise AmbiguousScheme(f"{scheme}:// is claimed by {names}: uninstall all but one")
    (claimant,) = claimants
    if claimant.adapter.api != API:
        raise UnsupportedAdapter(
            f"{claimant.distribution} was written for version {claimant.adapter.api} of the storage contract, "
            f"this mobync-core has version {API}: upgrade the {'core' if claimant.adapter.api > API else 'adapter'}"
        )
    return claimant


def _adapters(entry_point: EntryPoint) -> list[Adapter]:
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(entry_point.load(), name=entry_point.name)
    manager.check_pending()
    if not manager.hook.mobync_storage_adapters.get_hookimpls():
        raise TypeError("it implements no hook: mobync_storage_adapters must be decorated with mobync_core.hookimpl")
    adapters = [adapter for answer in manager.hook.mobync_storage_adapters() for adapter in answer]
    for adapter in adapters:
        if not isinstance(adapter, Adapter):
            raise TypeError(f"mobync_storage_adapters must return Adapter objects, not {adapter!r}")
    return adapters


def _distribution(entry_point: EntryPoint) -> str:
    dist = entry_point.dist
    return f"{dist.name} {dist.version}" if dist is not None else "an unknown distribution"


def _install(scheme: str) -> str:
    extra = EXTRAS.get(scheme.partition("+")[0])
    return f'pip install "mobync-core[{extra}]"' if extra else ""


def _no_claimant(scheme: str, found: Discovery) -> str:
    message = f"no installed adapter claims {scheme}://"
    if hint := _install(scheme):
        return f"{message}: {hint}"
    known = {scheme for installed in found.installed for scheme in installed.adapter.schemes} | set(EXTRAS)
    if meant := difflib.get_close_matches(scheme, known, n=1):
        message += f"; did you mean {meant[0]}://?"
    else:
        message += f"; known are {', '.join(sorted(known))}"
    if found.broken:
        message += f" (broken plugins: {', '.join(broken.name for broken in found.broken)}; see `mobync adapters`)"
    return message
