"""The options that say how tokens become owners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mobync_core.http.endpoint import OwnerOf
from mobync_core.http.tokens import KnownTokens, TokenSourceError, read_text, token_is_owner

if TYPE_CHECKING:
    from mobync_core.http.jwt import Checks

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path)
_OPTIONS = [
    click.option("--tokens", type=_FILE, envvar="MOBYNC_TOKENS", help="File with a line `token = owner` each."),
    click.option(
        "--jwt-secret-file",
        type=_FILE,
        envvar="MOBYNC_JWT_SECRET_FILE",
        help="Secret that JWTs are signed with; or the secret itself in MOBYNC_JWT_SECRET.",
    ),
    click.option("--jwt-public-key", type=_FILE, envvar="MOBYNC_JWT_PUBLIC_KEY", help="PEM file to check JWTs with."),
    click.option("--jwt-key-set", type=_FILE, envvar="MOBYNC_JWT_KEY_SET", help="JWKS file to check JWTs with."),
    click.option(
        "--jwt-algorithm",
        "jwt_algorithms",
        multiple=True,
        envvar="MOBYNC_JWT_ALGORITHM",
        help="Algorithm that JWTs are signed with, such as HS256 or RS256; may be repeated.",
    ),
    click.option(
        "--jwt-claim", default="sub", show_default=True, envvar="MOBYNC_JWT_CLAIM", help="Claim that is the owner."
    ),
    click.option("--jwt-audience", envvar="MOBYNC_JWT_AUDIENCE", help="Audience that a JWT must be for."),
    click.option("--jwt-issuer", envvar="MOBYNC_JWT_ISSUER", help="Issuer that a JWT must come from."),
    click.option(
        "--jwt-leeway",
        type=click.FloatRange(min=0),
        default=10,
        show_default=True,
        envvar="MOBYNC_JWT_LEEWAY",
        help="Seconds that the issuer's clock may be off.",
    ),
    # No variable for this one: it must not stay set by accident.
    click.option(
        "--insecure-token-is-owner",
        is_flag=True,
        help="Take any token for the owner of that name. To try out, on loopback only.",
    ),
]

_NO_SOURCE = """no source of tokens: the server must know whose token is whose. Give one of
  --tokens FILE                a line `token = owner` each
  --jwt-secret-file FILE       JWTs signed with a secret (or MOBYNC_JWT_SECRET), with --jwt-algorithm HS256
  --jwt-public-key FILE        JWTs checked with a public key in PEM, with --jwt-algorithm RS256
  --jwt-key-set FILE           JWTs checked with a JWKS file, with --jwt-algorithm RS256
  --insecure-token-is-owner    any token is the owner of that name: to try out, on loopback only"""


@dataclass(frozen=True, slots=True)
class Owners:
    """How tokens become owners. `told` says it for people; `insecure`: whoever comes can be anybody."""

    owner_of: OwnerOf
    told: str
    insecure: bool = False


def owner_options(command: F) -> F:
    """Add the options to a command, which hands them to `owners_from`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def owners_from(  # noqa: PLR0913 - one for each option
    *,
    jwt_secret: str | None,
    tokens: Path | None,
    jwt_secret_file: Path | None,
    jwt_public_key: Path | None,
    jwt_key_set: Path | None,
    jwt_algorithms: tuple[str, ...],
    jwt_claim: str,
    jwt_audience: str | None,
    jwt_issuer: str | None,
    jwt_leeway: float,
    insecure_token_is_owner: bool,
) -> Owners:
    """Return what the options say. `jwt_secret` is the variable MOBYNC_JWT_SECRET.

    Raises `click.UsageError` unless they name one source, and `TokenSourceError` if it cannot be used.
    """
    sources = {
        "--tokens": tokens,
        "--jwt-secret-file": jwt_secret_file,
        "MOBYNC_JWT_SECRET": jwt_secret,
        "--jwt-public-key": jwt_public_key,
        "--jwt-key-set": jwt_key_set,
        "--insecure-token-is-owner": insecure_token_is_owner or None,
    }
    given = [name for name, source in sources.items() if source is not None]
    if not given:
        raise click.UsageError(_NO_SOURCE)
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} are different sources of tokens: give one")
    checked = [name for name, value in (("audience", jwt_audience), ("issuer", jwt_issuer)) if value is not None]
    if checked and (tokens is not None or insecure_token_is_owner):
        raise click.UsageError(f"--jwt-{checked[0]} checks JWTs, and {given[0]} takes none: give a source of JWTs")
    if insecure_token_is_owner:
        return Owners(token_is_owner, "INSECURE: any token is the owner of that name", insecure=True)
    if tokens is not None:
        known = KnownTokens.from_file(tokens)
        return Owners(known, f"{len(known)} {'token' if len(known) == 1 else 'tokens'} of {tokens}")
    checks: Checks = {
        "claim": jwt_claim,
        "audience": jwt_audience,
        "issuer": jwt_issuer,
        "leeway": jwt_leeway,
    }
    told = f"the claim {jwt_claim!r} of JWTs signed with {' or '.join(jwt_algorithms)}"
    return Owners(_jwt(jwt_secret, jwt_secret_file, jwt_public_key, jwt_key_set, jwt_algorithms, checks), told)


def _jwt(
    secret: str | None,
    secret_file: Path | None,
    public_key: Path | None,
    key_set: Path | None,
    algorithms: tuple[str, ...],
    checks: Checks,
) -> OwnerOf:
    from mobync_core.http.jwt import JWTOwners  # noqa: PLC0415 - PyJWT is in the extra `server`

    if not algorithms:
        raise TokenSourceError("say which algorithm the JWTs are signed with, as in --jwt-algorithm HS256")
    if public_key is not None:
        return JWTOwners.from_public_key(public_key, algorithms=algorithms, **checks)
    if key_set is not None:
        return JWTOwners.from_key_set(key_set, algorithms=algorithms, **checks)
    if secret is None:
        assert secret_file is not None
        secret = read_text(secret_file).strip()
    return JWTOwners.from_secret(secret, algorithms=algorithms, **checks)
