"""Builds the image `mobync-test/servers` from the packages of the Debian that this machine runs."""

from __future__ import annotations

import hashlib
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

IMAGE = "mobync-test/servers"

PACKAGES = ("postgresql", "redis-server", "mariadb-server", "python3")
SECANTUSDB = "SecantusDB"
INPUTS = "mobync-test.inputs"
"""The image's label that says what it was built from."""

_HERE = Path(__file__).parent
COPIED = (_HERE / "entrypoint", _HERE / "mongod.py")

_CONSTRAINTS = _HERE.parents[2] / "constraints.txt"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class CannotBuild(Exception):
    """The image cannot be built here; says what to do."""


def build() -> None:
    """Build the image, unless it is there and was built from the same. Needs a Docker daemon. Raises `CannotBuild`."""
    release = _release()
    inputs = _fingerprint(release)
    if _built_from() == inputs:
        return
    begin = time.monotonic()
    print(f"building {IMAGE} on {release} ...", flush=True)
    sources = _sources()
    import_ = ["docker", "import", "--change", f"LABEL {INPUTS}={inputs}"]
    import_ += ["--change", 'ENTRYPOINT ["sh", "/entrypoint"]', "--change", "WORKDIR /srv", "-", IMAGE]
    with (
        subprocess.Popen(_bootstrap(release), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as packing,
        subprocess.Popen(import_, stdin=packing.stdout, stdout=subprocess.DEVNULL) as importing,
    ):
        assert packing.stdin is not None
        assert packing.stdout is not None
        packing.stdout.close()  # it is the other process's now
        packing.stdin.write(sources.encode())
        packing.stdin.close()
    if packing.returncode or importing.returncode:
        raise CannotBuild(f"mmdebstrap ended with {packing.returncode}, docker import with {importing.returncode}")
    # The one before has lost its name by now.
    subprocess.run(
        ["docker", "image", "prune", "--force", "--filter", f"label={INPUTS}"], stdout=subprocess.DEVNULL, check=True
    )
    print(f"built in {time.monotonic() - begin:.0f} s", flush=True)


def _release() -> str:
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    if system.get("ID") != "debian":
        raise CannotBuild("the image is built from Debian's packages, on Debian")
    return system["VERSION_CODENAME"]


def _fingerprint(release: str) -> str:
    """A hash of all that the image depends on, but for the state of Debian's archive."""
    files = [path.read_bytes() for path in (Path(__file__), *COPIED)]
    pins = [line for line in _CONSTRAINTS.read_text().splitlines() if line.startswith(f"{SECANTUSDB}==")]
    return hashlib.sha256(repr((release, platform.machine(), files, pins)).encode()).hexdigest()


def _built_from() -> str | None:
    label = f'{{{{index .Config.Labels "{INPUTS}"}}}}'
    done = subprocess.run(
        ["docker", "image", "inspect", "--format", label, IMAGE], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None


def _sources() -> str:
    """Debian's own entries of this machine's apt, with the mirrors that it uses."""
    found = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
         "Created-By: Packages", "Origin: Debian"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    if not found:
        raise CannotBuild("apt has no lists of Debian's packages: apt-get update")
    return "".join(f"deb [signed-by={_KEYRING}] {entry}\n" for entry in dict.fromkeys(found))


def _bootstrap(release: str) -> list[str]:
    options = subprocess.run(
        ["apt-config", "dump", "--format", '%F "%v";%n',
         "Acquire::http", "Acquire::https", "Acquire::Check-Valid-Until", "Acquire::Check-Date"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [
        "mmdebstrap", "--quiet", "--variant=minbase", "--dpkgopt=force-unsafe-io", f"--include={','.join(PACKAGES)}",
        *(f"--aptopt={option}" for option in options if option),
        f"--customize-hook=copy-in {shlex.join(map(str, COPIED))} /",
        f"--customize-hook={_install_secantusdb()}",
        # Made by the packages for their services, which do not run here.
        '--customize-hook=rm -rf "$1"/var/lib/postgresql/* "$1"/var/lib/mysql/*',
        release, "-", "-",
    ]  # fmt: skip


def _install_secantusdb() -> str:
    """A command of the shell, where $1 is the image's root: our pip installs for the image's Python, which has none."""
    libc = int(platform.libc_ver()[1].split(".")[1])
    tags = [f"--platform=manylinux_2_{minor}_{platform.machine()}" for minor in range(libc, 16, -1)]
    command = shlex.join(
        [sys.executable, "-m", "pip", "install", "-qq", "--no-compile", "--only-binary=:all:", *tags,
         "--constraint", str(_CONSTRAINTS), SECANTUSDB]
    )  # fmt: skip
    version = """$(chroot "$1" python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')"""
    return f'{command} --target "$1/opt/secantusdb" --python-version "{version}"'
