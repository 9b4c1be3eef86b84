"""The command `mobync` as the wheels install it, with and without the extras that it needs."""

from __future__ import annotations

import pytest

from tests.packaging.environments import Environments
from tests.packaging.projects import CORE

SECRET = "hunter2"
URL = f"postgresql://u:{SECRET}@127.0.0.1/d"


@pytest.mark.parametrize(
    ("extra", "arguments", "told"),
    [
        ("", [], 'mobync: the command needs click: pip install "mobync-core[cli]"'),
        ("", ["serve", URL], 'mobync: the command needs click: pip install "mobync-core[cli]"'),
        ("cli", ["serve", URL], 'Error: starlette is not installed: pip install "mobync-core[server]"'),
        ("cli", ["demo"], 'Error: starlette is not installed: pip install "mobync-core[server]"'),
        ("cli", ["verify", URL], 'Error: pytest is not installed: pip install "mobync-core[testing]"'),
        (
            "server",
            ["serve", URL, "--insecure-token-is-owner"],
            'Error: no installed adapter claims postgresql://: pip install "mobync-core[postgres]"',
        ),
        ("server", ["demo"], 'Error: urllib3 is not installed: pip install "mobync-core[client]"'),
        ("client,server", ["demo"], 'Error: no installed adapter claims sqlite://: pip install "mobync-core[sqlite]"'),
        (
            "testing",
            ["verify", URL],
            'Error: no installed adapter claims postgresql://: pip install "mobync-core[postgres]"',
        ),
    ],
)
def test_without_an_extra_it_says_what_to_install(
    extra: str, arguments: list[str], told: str, environment: Environments
) -> None:
    ended = environment(extra).mobync(*arguments)

    assert (ended.status, ended.out, ended.err.strip()) == (1, "", told)


@pytest.mark.parametrize("extra", ["cli", "server", "testing"])
def test_it_runs_without_any_adapter(extra: str, environment: Environments) -> None:
    place = environment(extra)

    assert place.mobync("--version").out == f"mobync, version {CORE.version}\n"
    assert place.mobync("adapters").out == 'No adapter is installed: pip install "mobync-core[sqlite]"\n'


def test_with_every_adapter_it_lists_them(environment: Environments) -> None:
    ended = environment("all,cli").mobync("adapters", COLUMNS="160")

    assert (ended.status, ended.err) == (0, "")
    listed = {line.split()[0] for line in ended.out.splitlines() if f" {CORE.version} " in line}
    assert listed == {"memory", "sqlite", "postgresql", "mariadb", "mongodb", "redis"}


def test_three_devices_sync_with_a_server(environment: Environments) -> None:
    ended = environment("client,server,sqlite").mobync("demo")

    assert (ended.status, ended.err) == (0, "")
    assert "laptop" in ended.out
