"""A Docker daemon of our own, for as long as it is needed, where none runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.images.build import CannotBuild

_LOG = Path(tempfile.gettempdir()) / "mobync-dockerd.log"


def install(*packages: str) -> None:
    """Install Debian's packages, as root. Raises `CannotBuild`, which says how to do it as another."""
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CannotBuild(f"not root on Debian; as root: {' '.join(command)}")
    waiting = ["-o", "DPkg::Lock::Timeout=300"]
    with tempfile.TemporaryFile("w+") as log:
        for arguments in (["apt-get", "update", "-qq"], command):
            done = subprocess.run([*arguments, *waiting], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        if done.returncode:
            log.seek(0)
            raise CannotBuild(f"{' '.join(command)} ended with {done.returncode}:\n{log.read()[-2000:]}")


def answers() -> bool:
    """Whether a Docker daemon answers the `docker` command."""
    if shutil.which("docker") is None:
        return False
    command: Sequence[str] = ["docker", "info", "--format", "{{.ServerVersion}}"]
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def docker() -> Iterator[None]:
    """A daemon that answers: the one that is there, or ours, which ends with the `with`."""
    if not answers() and (shutil.which("docker") is None or shutil.which("dockerd") is None):
        install("docker.io")  # which may start it
    if answers():
        yield
        return
    if os.geteuid() != 0:
        raise CannotBuild("no Docker daemon answers, and only root can start one: dockerd --ip 127.0.0.1")
    with _LOG.open("wb") as log:
        # Ports are published on this machine's own address only.
        daemon = subprocess.Popen(
            ["dockerd", "--ip", "127.0.0.1"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 60
        while not answers():
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise CannotBuild(f"dockerd does not start:\n{_LOG.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        daemon.terminate()
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
