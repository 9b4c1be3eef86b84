"""``mobync serve``: the server."""

from __future__ import annotations

import logging
import os
from typing import Any

import click

from mobync_core.cli.extras import require
from mobync_core.cli.owners import owner_options, owners_from
from mobync_core.engine import Mobync
from mobync_core.plugins import installed_for
from mobync_core.urls import redact


@click.command()
@click.argument("url", envvar="MOBYNC_URL", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, envvar="MOBYNC_HOST", help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    envvar="MOBYNC_PORT",
    help="Port to listen on; 0 for a free one.",
)
@owner_options
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    envvar="MOBYNC_THREADS",
    help="Most requests to work on at a time.",
)
@click.option("--access-log", is_flag=True, envvar="MOBYNC_ACCESS_LOG", help="Log every request.")
def serve(url: str | None, host: str, port: int, threads: int, access_log: bool, **owner_settings: Any) -> None:
    """Serve the storage at URL to devices: POST /sync, GET /health.

    URL is such as sqlite:///app.db or postgresql://user:password@host/database. Processes of this machine can see
    arguments, so rather put a URL with a password into the variable MOBYNC_URL. Every option but
    --insecure-token-is-owner can be given as a variable too: --host as MOBYNC_HOST.

    The server speaks HTTP: put it behind a proxy that speaks HTTPS before devices reach it over a network.
    """
    require("server")
    from mobync_core.http import asgi, serving  # noqa: PLC0415 - they are in the extra `server`

    if not url:
        raise click.UsageError("no storage: give its URL, such as sqlite:///app.db, or set MOBYNC_URL")
    owners = owners_from(jwt_secret=os.environ.get("MOBYNC_JWT_SECRET"), **owner_settings)
    if owners.insecure and not serving.is_loopback(host):
        raise click.UsageError(
            f"--insecure-token-is-owner is refused on {host}: other machines could reach it, and be anybody. "
            "Listen on 127.0.0.1, or give a source of tokens"
        )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    with serving.listen(host, port) as listener, Mobync(url) as engine:

        def announce() -> None:
            click.echo(f"Mobync listens on {serving.url_of(listener)}")
            click.echo("  devices  POST /sync (and GET /health for whoever watches)")
            click.echo(f"  storage  {redact(url)}{_caveat(url)}")
            click.echo(f"  owners   {owners.told}")

        app = asgi.asgi_app(engine, owners.owner_of, threads=threads)
        serving.serve(app, listener, ready=announce, access_log=access_log)


def _caveat(url: str) -> str:
    lasting = installed_for(url).adapter.abilities_at(url).persistent
    return "" if lasting else "  (gone when this process ends)"
