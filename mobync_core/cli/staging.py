"""The options of ``mobync storm`` for a server over HTTP."""

from __future__ import annotations

import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mobync_core.http.tokens import read_text

if TYPE_CHECKING:
    from mobync_core.testing.storm.staging import Staging

F = TypeVar("F", bound=Callable[..., Any])

_VALID = 86_400
"""How many seconds a JWT is valid: for longer than a history takes."""

_OPTIONS = [
    click.option("--token-is-owner", is_flag=True, help="HTTP: the server takes any token for the owner of that name."),
    click.option(
        "--jwt-secret-file",
        type=click.Path(path_type=Path),
        help="HTTP: make tokens as JWTs (HS256, claim sub) with the secret in this file.",
    ),
    click.option(
        "--token-command", metavar="COMMAND", help="HTTP: this command prints the token of its last argument."
    ),
    click.option("--i-own-this-server", "is_own", is_flag=True, help="HTTP: storm a server of another machine."),
    click.option(
        "--most-per-second",
        type=click.FloatRange(min=0, min_open=True),
        default=200.0,
        show_default=True,
        help="HTTP: the most requests.",
    ),
    click.option("--kill-command", default="", help="HTTP: kills the server, at once; with --start-command."),
    click.option("--start-command", default="", help="HTTP: starts the server again, to go on after the storm."),
]


def staging_options(command: F) -> F:
    """Add the options to a command, which hands them to `staging_from`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def staging_from(
    *,
    token_is_owner: bool,
    jwt_secret_file: Path | None,
    token_command: str | None,
    is_own: bool,
    most_per_second: float,
    kill_command: str,
    start_command: str,
) -> Staging:
    """Return what the options say. Raises `click.UsageError` unless they name one source of tokens."""
    from mobync_core.testing.storm.staging import Staging  # noqa: PLC0415 - it needs the extra `client`

    if sum((token_is_owner, jwt_secret_file is not None, token_command is not None)) != 1:
        sources = "--token-is-owner, --jwt-secret-file or --token-command"
        raise click.UsageError(f"say how the storm gets tokens of owners of its own: by {sources}")
    if bool(kill_command) != bool(start_command):
        raise click.UsageError("--kill-command and --start-command go together")
    if token_command is not None:
        token_of = _by_command(shlex.split(token_command))
    elif jwt_secret_file is not None:
        token_of = _by_jwt(read_text(jwt_secret_file).strip())
    else:
        token_of = str
    return Staging(
        token_of=token_of, is_own=is_own, most_per_second=most_per_second, kill=kill_command, start=start_command
    )


def _by_command(command: list[str]) -> Callable[[str], str]:
    def token_of(owner: str) -> str:
        try:
            ended = subprocess.run([*command, owner], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise click.ClickException(f"the command for a token failed: {error}") from None
        token = ended.stdout.strip()
        if not token:
            raise click.ClickException("the command for a token printed none")
        return token

    return token_of


def _by_jwt(secret: str) -> Callable[[str], str]:
    try:
        import jwt  # noqa: PLC0415 - it is in the extra `server`
    except ModuleNotFoundError:
        raise click.ClickException('jwt is not installed: pip install "mobync-core[server]"') from None

    return lambda owner: jwt.encode({"sub": owner, "exp": int(time.time()) + _VALID}, secret, algorithm="HS256")
