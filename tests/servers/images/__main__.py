"""Runs a command, such as pytest, whose tests get their servers from containers of the image built here.

``python -m tests.servers.images pytest tests/storage``. It installs what it needs, starts a Docker daemon if none
runs, and ends it. Without a command it builds the image and leaves it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.servers.containers import remove_leftovers
from tests.servers.images.build import IMAGE, CannotBuild, build
from tests.servers.images.daemon import docker, install

BACKENDS = ("postgresql", "mariadb", "redis", "redis-cluster", "mongodb")


def main(command: list[str]) -> int:
    try:
        with docker():
            if shutil.which("mmdebstrap") is None:
                install("mmdebstrap")
            build()
            if not command:
                return 0
            try:
                return subprocess.run(command, env=os.environ | environment(), check=False).returncode
            finally:
                remove_leftovers()
    except CannotBuild as error:
        print(f"{error}\nWith a registry of images no build is needed: MOBYNC_TEST_SERVERS=docker nox -s tests")
        return 2


def environment() -> dict[str, str]:
    images = {f"MOBYNC_TEST_{backend.upper().replace('-', '_')}_IMAGE": IMAGE for backend in BACKENDS}
    return images | {"MOBYNC_TEST_SERVERS": "docker", "MOBYNC_REQUIRE": ",".join(BACKENDS)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
