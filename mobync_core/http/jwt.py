"""Owners from JSON Web Tokens, through PyJWT. Needs the extra ``server``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

import jwt

from mobync_core.errors import Unauthenticated
from mobync_core.http.tokens import TokenSourceError, read_text
from mobync_core.limits import identifier_fault

_SECRET_BYTES = {"HS256": 32, "HS384": 48, "HS512": 64}  # RFC 7518, 3.2: no less than the digest has
PUBLIC_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
SECRET_ALGORITHMS = tuple(_SECRET_BYTES)


class Checks(TypedDict, total=False):
    """What is asked of a token beside its signature.

    `claim` is where the owner stands (``sub``); `audience` and `issuer` must be the token's, if given; `leeway` is how
    many seconds the clocks of issuer and server may be apart (0).
    """

    claim: str
    audience: str | None
    issuer: str | None
    leeway: float


class JWTOwners:
    """Finds the owner in a signed token.

    A token is taken only if it is signed with one of the algorithms given here, holds an expiry that has not passed and
    the owner, and stands the `Checks`; one that names an audience is refused where none is expected.

    Make one with `from_secret`, `from_public_key` or `from_key_set`; each raises `TokenSourceError` for a key that
    cannot be used with the algorithms.
    """

    def __init__(self, keys: _Keys, algorithms: Sequence[str], checks: Checks) -> None:
        self._keys = keys
        self._algorithms = list(algorithms)
        self._claim = checks.get("claim", "sub")
        self._audience = checks.get("audience")
        self._issuer = checks.get("issuer")
        self._leeway = checks.get("leeway", 0)

    @classmethod
    def from_secret(cls, secret: str, *, algorithms: Sequence[str] = ("HS256",), **checks: Unpack[Checks]) -> JWTOwners:
        """Check tokens with the secret that they are signed with."""
        _check_algorithms(algorithms, SECRET_ALGORITHMS, "a secret")
        size, least = len(secret.encode()), max(_SECRET_BYTES[algorithm] for algorithm in algorithms)
        if size < least:
            raise TokenSourceError(
                f"the JWT secret has {size} bytes, too few for {', '.join(algorithms)}: it must have at least {least}"
            )
        return cls(_Keys(secret), algorithms, checks)

    @classmethod
    def from_public_key(cls, path: str | Path, *, algorithms: Sequence[str], **checks: Unpack[Checks]) -> JWTOwners:
        """Check tokens with the public key in a PEM file."""
        _check_algorithms(algorithms, PUBLIC_ALGORITHMS, "a public key")
        pem = read_text(path)
        key: Any = pem
        for algorithm in algorithms:
            try:
                key = jwt.get_algorithm_by_name(algorithm).prepare_key(pem)
            except NotImplementedError:
                raise TokenSourceError(f'{algorithm} needs cryptography: pip install "pyjwt[crypto]"') from None
            except (jwt.InvalidKeyError, ValueError, TypeError) as error:
                raise TokenSourceError(f"{path} is no public key for {algorithm}: {type(error).__name__}") from None
            if hasattr(key, "private_bytes"):
                raise TokenSourceError(f"{path} is a private key: give the server only the public one")
        return cls(_Keys(key), algorithms, checks)

    @classmethod
    def from_key_set(cls, path: str | Path, *, algorithms: Sequence[str], **checks: Unpack[Checks]) -> JWTOwners:
        """Check tokens with the public keys of a JWKS file, of which each token names one by its `kid`."""
        _check_algorithms(algorithms, PUBLIC_ALGORITHMS, "a key set")
        try:
            keys = jwt.PyJWKSet.from_dict(json.loads(read_text(path))).keys
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError) as error:
            raise TokenSourceError(f"{path} is no JSON Web Key Set: {type(error).__name__}") from None
        usable = [key for key in keys if key.algorithm_name in algorithms]
        if not usable:
            raise TokenSourceError(f"{path} holds no key for {', '.join(algorithms)}")
        return cls(_Keys(*usable), algorithms, checks)

    def __call__(self, token: str) -> str | None:
        """Return the token's owner. Raises `Unauthenticated`, which says what is wrong with it."""
        try:
            claims = jwt.decode(
                token,
                self._keys.for_token(token),
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=self._leeway,
                options={"require": ["exp", self._claim]},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("the token has expired") from None
        except (jwt.InvalidTokenError, UnicodeError) as error:
            raise Unauthenticated(f"the token is not accepted: {error}") from None
        owner = claims[self._claim]
        return owner if identifier_fault(owner) is None else None


class _Keys:
    """The keys that tokens may be signed with, as PyJWT takes them."""

    def __init__(self, *keys: Any) -> None:
        self._keys = keys
        self._by_id = {key.key_id: key for key in keys if isinstance(key, jwt.PyJWK) and key.key_id}

    def for_token(self, token: str) -> Any:
        """Return the key that the token names; the only one, if there is but one and the token names none."""
        if not self._by_id:
            return self._only()
        name = jwt.get_unverified_header(token).get("kid")
        if name is None:
            return self._only()
        if name not in self._by_id:
            raise jwt.InvalidTokenError("it is signed with a key that is not known here")
        return self._by_id[name]

    def _only(self) -> Any:
        if len(self._keys) != 1:
            raise jwt.InvalidTokenError("it does not name the key that it is signed with")
        return self._keys[0]


def _check_algorithms(algorithms: Sequence[str], possible: Sequence[str], key: str) -> None:
    if not algorithms:
        raise TokenSourceError(f"say which algorithm the tokens are signed with: one of {', '.join(possible)}")
    for algorithm in algorithms:
        if algorithm not in possible:
            raise TokenSourceError(f"{algorithm} does not go with {key}: use {', '.join(possible)}")
