"""What tests of Mobync, of its adapters and of applications that use it are built from.

`StorageSuite` is the conformance suite for adapters; it and `HandedIn` need the extra ``testing``.
`mobync_core.testing.dart` is a model of the published client and needs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobync_core.testing.promises.life import HandedIn
    from mobync_core.testing.suite import StorageSuite

__all__ = ["HandedIn", "StorageSuite"]


def __getattr__(name: str) -> Any:
    # pytest and Hypothesis are for those who use the suite, not for those who show a server with a model of a client.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pytest  # noqa: PLC0415

    pytest.register_assert_rewrite("mobync_core.testing.promises")
    return getattr(import_module("mobync_core.testing.suite"), name)
