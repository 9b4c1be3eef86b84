"""Storage URLs: which scheme they have, and how to show them without their secrets."""

from __future__ import annotations

import re

from mobync_core.errors import InvalidURL

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# Greedy up to the last "@": a password with an unescaped "@" or "/" must not show either.
_PASSWORD = re.compile(r"(?<=://)([^:@]*):.*@", re.DOTALL)
_SECRET_PARAMETER = re.compile(r"([?&;][^=&;]*(?:pass|secret|token|key|credential)[^=&;]*=)[^&;#]*", re.IGNORECASE)


def scheme_of(url: str) -> str:
    """Return the scheme of a storage URL, in lower case.

    Raises `InvalidURL` if `url` has none.
    """
    match = _SCHEME.match(url)
    if match is None:
        begin = re.split(r"[:/@?]", url, maxsplit=1)[0]  # no more of it: where a password lies, nobody knows
        raise InvalidURL(f"a storage URL must begin with a scheme and ://, as in sqlite:///app.db, not with {begin!r}")
    return match[1].lower()


def redact(url: str) -> str:
    """Return `url` with its password, and every parameter that looks like a secret, replaced by ``***``."""
    return _SECRET_PARAMETER.sub(r"\1***", _PASSWORD.sub(r"\1:***@", url))
