"""Where owners come from: a file of tokens, JSON Web Tokens, or the token itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from mobync_core.errors import MobyncError
from mobync_core.limits import identifier_fault

_LINE = re.compile(r"(?P<token>\S+)[ \t]+=[ \t]+(?P<owner>.+)")


class TokenSourceError(MobyncError):
    """A source of tokens cannot be used as it is. Its message never holds a token or a key."""


class KnownTokens:
    """Finds owners in a table of tokens. Tokens are kept and compared as digests.

    An attacker who measures how long a look-up takes learns of a digest, which does not lead to a token.
    """

    def __init__(self, owners: Mapping[str, str]) -> None:
        self._owners = {_digest(token): owner for token, owner in owners.items()}

    def __call__(self, token: str) -> str | None:
        return self._owners.get(_digest(token))

    def __len__(self) -> int:
        return len(self._owners)

    @classmethod
    def from_file(cls, path: str | Path) -> KnownTokens:
        """Read a UTF-8 file with a line ``token = owner`` each; lines that begin with ``#`` are comments.

        The spaces around ``=`` belong to it, so that a token may hold one. Raises `TokenSourceError` naming the line.
        """
        owners: dict[str, str] = {}
        first_at: dict[str, int] = {}
        for number, line in enumerate(read_text(path).splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            match = _LINE.fullmatch(text)
            if match is None:
                raise TokenSourceError(f"{path}, line {number}: expected `token = owner`, with spaces around the =")
            token, owner = match["token"], match["owner"]
            if fault := identifier_fault(owner):
                raise TokenSourceError(f"{path}, line {number}: the owner {fault}")
            if token in owners:
                raise TokenSourceError(f"{path}, line {number}: the token of line {first_at[token]} again")
            owners[token] = owner
            first_at[token] = number
        if not owners:
            raise TokenSourceError(f"{path} has no line `token = owner`")
        return cls(owners)


def token_is_owner(token: str) -> str | None:
    """Take every token for the owner of that name. Whoever can reach such a server can be anybody: only to try out."""
    return token if identifier_fault(token) is None else None


def read_text(path: str | Path) -> str:
    """Read a UTF-8 file of secrets. Raises `TokenSourceError` if it cannot be read."""
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise TokenSourceError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TokenSourceError(f"{path} is not a text in UTF-8") from None


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
