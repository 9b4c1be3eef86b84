"""Adapters are found by their entry points, and nobody's broken one keeps another from being found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mobync_core import AmbiguousScheme, InvalidURL, MissingDriver, UnknownScheme, UnsupportedAdapter, open_storage
from mobync_core.plugins import discover
from mobync_core.urls import redact

Install = Callable[[str, str], None]

ADAPTER = """
from mobync_core import Adapter, hookimpl

def open(url):
    {open}

@hookimpl
def mobync_storage_adapters():
    return [Adapter(name="{name}", schemes=("{scheme}",), open=open{more})]
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one module, which its entry point names."""
    monkeypatch.syspath_prepend(tmp_path)

    def install_one(name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[mobync]\n{name} = {name}\n")
        monkeypatch.delitem(sys.modules, name, raising=False)

    return install_one


def adapter(name: str, scheme: str, *, open: str = "raise AssertionError(url)", more: str = "") -> str:
    return ADAPTER.format(name=name, scheme=scheme, open=open, more=more)


def test_a_strangers_adapter_is_found_and_opened_with_the_url_as_given(install: Install) -> None:
    install("stranger", adapter("stranger", "odd", open="from types import SimpleNamespace as s; return s(url=url)"))

    assert open_storage("ODD://Some/Where?x=Y").url == "ODD://Some/Where?x=Y"  # type: ignore[attr-defined]
    assert "stranger 1.0" in [found.distribution for found in discover().installed]


@pytest.mark.parametrize(
    "source",
    ["raise RuntimeError('at import')", "this is no python", "from mobync_core import hookimpl\n", "import not_there"],
    ids=["raises", "syntax", "no hook", "import"],
)
def test_a_broken_plugin_breaks_no_other(install: Install, source: str) -> None:
    install("broken", source)
    install("stranger", adapter("stranger", "odd", open="return None"))

    open_storage("odd://")
    assert [one.name for one in discover().broken] == ["broken"]
    with pytest.raises(UnknownScheme, match="broken plugins: broken"):
        open_storage("nobody://x")


def test_a_hook_that_returns_something_else_is_broken(install: Install) -> None:
    install("wrong", "from mobync_core import hookimpl\n@hookimpl\ndef mobync_storage_adapters():\n    return ['x']\n")

    (broken,) = discover().broken
    assert "must return Adapter objects, not 'x'" in broken.error


def test_two_claimants_are_an_error_only_when_their_scheme_is_opened(install: Install) -> None:
    install("first", adapter("first", "odd"))
    install("second", adapter("second", "odd"))

    open_storage("memory://").close()
    with pytest.raises(AmbiguousScheme, match=r"first \(first 1\.0\) and second \(second 1\.0\)"):
        open_storage("odd://")


def test_a_missing_driver_says_what_to_install(install: Install) -> None:
    install("stranger", adapter("stranger", "odd", open="import not_there", more=', install="pip install stranger[x]"'))

    with pytest.raises(MissingDriver, match=r"odd:// needs not_there, .* pip install stranger\[x\]"):
        open_storage("odd://user:secret@host")


def test_an_adapter_for_another_contract_is_refused(install: Install) -> None:
    install("newer", adapter("newer", "odd", more=", api=2"))

    with pytest.raises(UnsupportedAdapter, match=r"version 2 .* upgrade the core"):
        open_storage("odd://")


def test_what_an_adapter_says_of_a_url_shows_no_password(install: Install) -> None:
    install("stranger", adapter("stranger", "odd", open="raise ValueError(f'bad: {url}')"))

    with pytest.raises(InvalidURL) as caught:
        open_storage("odd://user:hunter2@host")
    assert "hunter2" not in str(caught.value)
    assert "user:***@host" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresq://x", r"did you mean postgresql://\?"),
        ("nobody://x", "known are .*memory.*sqlite"),
    ],
)
def test_an_unknown_scheme_says_what_was_meant_or_what_there_is(url: str, message: str) -> None:
    with pytest.raises(UnknownScheme, match=message):
        open_storage(url)


@pytest.mark.parametrize(
    "url", ["", "app.db", "sqlite:/app.db", "://x", "user:hunter2@host", "postgresql:/u:hunter2@h/d"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidURL, match="must begin with a scheme") as caught:
        open_storage(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///app.db", "sqlite:///app.db"),
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("redis://:p@h", "redis://:***@h"),
        ("postgresql://us/er:p@h/d", "postgresql://us/er:***@h/d"),
        ("postgresql://u:p@w/o:rd@h/d", "postgresql://u:***@h/d"),
        ("mongodb://u:p@h1,h2/d?authSource=a", "mongodb://u:***@h1,h2/d?authSource=a"),
        ("postgresql://h/d?user=u&password=p&x=y", "postgresql://h/d?user=u&password=***&x=y"),
        ("postgresql://h/d?sslpassword=p", "postgresql://h/d?sslpassword=***"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_neither_the_core_nor_discovery_imports_a_driver_or_a_framework() -> None:
    program = (
        "import sys, mobync_core; from mobync_core.plugins import discover; assert discover().installed; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert "mobync_core" in loaded
    heavy = {"sqlalchemy", "psycopg", "sqlite3", "starlette", "uvicorn", "flask", "click", "rich", "jwt", "anyio"}
    assert not heavy & set(loaded)
