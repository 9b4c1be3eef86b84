"""Every method of a storage that works on its store, called at once, to see what it raises and how soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

from mobync_core.storage import Commit, Storage
from mobync_core.testing.examples import EPOCH, record

PATIENCE = 45
"""Within how many seconds a call must have given up a server that does not answer."""


def outcomes(storage: Storage, owner: str) -> dict[str, BaseException | None]:
    """Call every method; return what each raised, by its name, or None if it returned.

    Raises `AssertionError` if one of them takes longer than `PATIENCE`.
    """
    found: dict[str, BaseException | None] = {}

    def attempt(name: str, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is looked at
            found[name] = error
        else:
            found[name] = None

    # Threads that nobody has to wait for: one that hangs must not keep the others from being told.
    threads = {
        name: threading.Thread(target=attempt, args=(name, call), daemon=True) for name, call in _calls(storage, owner)
    }
    deadline = time.monotonic() + PATIENCE
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(max(0, deadline - time.monotonic()))
        assert not thread.is_alive(), f"{name} waits for its server: it has not given up within {PATIENCE} s"
    return {name: found[name] for name in threads}


def told(error: BaseException | None) -> str:
    """What a call did, in words."""
    return "returned" if error is None else f"raised {kind_of(error)} ({error})"


def kind_of(error: BaseException) -> str:
    """The name of an error's class, with its module: a driver's may be called as one of Python's is."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _calls(storage: Storage, owner: str) -> list[tuple[str, Callable[[], object]]]:
    return [
        ("setup", storage.setup),
        ("load", partial(storage.load, owner, since=0, keys=[("task", "a")])),
        ("commit", partial(storage.commit, owner, Commit(expected=1, clock=2, epoch=EPOCH, put=[record("b", 1)]))),
        ("notes", lambda: list(storage.notes(owner, "history"))),
        ("owners", lambda: list(storage.owners(prefix=owner))),
        ("erase", partial(storage.erase, f"{owner} whom nobody knows")),
    ]
