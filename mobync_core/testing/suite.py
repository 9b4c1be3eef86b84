"""The conformance suite: what every storage promises, put to the test on a real one.

An adapter's author writes one class and one fixture, in a file of tests of his own::

    class TestFiles(StorageSuite):
        @pytest.fixture
        def url(self, tmp_path):
            return f"files://{tmp_path}"

The adapter must be installed, since each test opens the URL as an application does. What its descriptor says of
its abilities at that URL is what it is held to. A store that is not empty will do: every test works on owners of its
own, and erases them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from inspect import getattr_static

import pytest

from mobync_core.hookspecs import Abilities
from mobync_core.plugins import installed_for, open_storage
from mobync_core.storage import Storage
from mobync_core.testing.differences import explain_differences
from mobync_core.testing.not_run import not_run
from mobync_core.testing.owners import owners_prefix
from mobync_core.testing.promises.commits import Commits, Erasures
from mobync_core.testing.promises.failures import Failures
from mobync_core.testing.promises.histories import Histories
from mobync_core.testing.promises.life import HandedIn, Life
from mobync_core.testing.promises.loads import Loads
from mobync_core.testing.promises.names import Names
from mobync_core.testing.promises.notes import Notes, Owners
from mobync_core.testing.promises.processes import Processes
from mobync_core.testing.promises.secrets import Secrets
from mobync_core.testing.promises.texts import Texts
from mobync_core.testing.promises.threads import Threads

SUBJECTS: tuple[type, ...] = (
    Life, Commits, Erasures, Loads, Notes, Owners, Names, Texts, Threads, Processes, Histories, Failures, Secrets,
)  # fmt: skip
"""The classes of promises, in the order in which they are told."""

_OPEN = {"url", "handed_in", "pytestmark"}
"""What a subclass may give; all else is the suite's own."""


class StorageSuite(*reversed(SUBJECTS)):  # type: ignore[misc]  # pytest runs the last base's tests first
    """Every promise of a storage. Subclass it, with a fixture `url`; nothing else of it may be overridden.

    The fixture `handed_in` is optional: a `HandedIn`, if the adapter takes an application's own client.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        fixed = [name for name in dir(StorageSuite) if not name.startswith("__") and name not in _OPEN]
        changed = [name for name in fixed if getattr_static(cls, name) is not getattr_static(StorageSuite, name)]
        if changed:
            raise TypeError(
                f"{cls.__name__} overrides {', '.join(changed)}: a storage that keeps only some promises is none. "
                "Name your own tests otherwise"
            )
        if not getattr(cls, "__test__", True):
            raise TypeError(
                f"{cls.__name__} sets __test__, so that none of its promises would be put to the test. A class that is "
                "only to be inherited from must not begin with Test"
            )

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `url` that returns the URL of the storage")

    @pytest.fixture
    def handed_in(self, request: pytest.FixtureRequest) -> HandedIn:
        """Give a storage on a client of the application."""
        not_run(request, "no fixture `handed_in` gives a storage on a client of the application")

    @pytest.fixture
    def abilities(self, url: str) -> Abilities:
        """What the adapter says of its storage at `url`."""
        return installed_for(url).adapter.abilities_at(url)

    @pytest.fixture
    def prefix(self, url: str, request: pytest.FixtureRequest) -> Iterator[str]:
        """With what the names of this test's owners begin. They are erased at its end."""
        explain_differences(request.config)
        prefix = owners_prefix(request.config)
        yield prefix
        with closing(open_storage(url)) as storage:
            storage.setup()
            if isinstance(storage, Storage):  # else it is being written; one promise names what it lacks
                for owner in list(storage.owners(prefix=prefix)):
                    storage.erase(owner)

    @pytest.fixture
    def owner(self, prefix: str) -> str:
        return f"{prefix}ada"

    @pytest.fixture
    def other(self, prefix: str) -> str:
        return f"{prefix}bob"

    @pytest.fixture
    def storage(self, url: str, prefix: str) -> Iterator[Storage]:  # noqa: ARG002 - closed before the owners are erased
        """The storage at `url`, set up."""
        with closing(open_storage(url)) as storage:
            storage.setup()
            yield storage
