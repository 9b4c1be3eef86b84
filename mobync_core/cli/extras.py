"""What a subcommand needs beyond the extra ``cli``."""

from __future__ import annotations

import importlib

import click

_MODULES = {
    "client": ("urllib3",),
    "server": ("starlette", "uvicorn", "jwt"),
}


def require(*extras: str) -> None:
    """Raise `click.ClickException`, saying what to install, if one of these extras is not."""
    for extra in extras:
        for module in _MODULES[extra]:
            try:
                importlib.import_module(module)
            except ModuleNotFoundError as error:
                raise click.ClickException(
                    f'{error.name} is not installed: pip install "mobync-core[{extra}]"'
                ) from None
