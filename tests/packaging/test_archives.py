"""What is in the wheels and the sdists. Each wheel was built from its sdist, so that what is in there suffices."""

from __future__ import annotations

import tarfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.packaging.projects import CORE, PROJECTS, Project

each = pytest.mark.parametrize("project", PROJECTS, ids=lambda project: project.name)
each_of_ours = pytest.mark.parametrize(
    "project", [project for project in PROJECTS if project.is_ours], ids=lambda project: project.name
)


def metadata(project: Project, built: Path) -> Message:
    with ZipFile(project.wheel(built)) as wheel:
        return message_from_bytes(wheel.read(f"{project.stem}-{project.version}.dist-info/METADATA"))


def test_every_project_was_built_and_nothing_else(built: Path) -> None:
    expected = {file for project in PROJECTS for file in (project.wheel(built), project.sdist(built))}

    assert {file for file in built.iterdir() if file.suffix in {".whl", ".gz"}} == expected
    assert len(PROJECTS) >= 5


@each
def test_a_wheel_holds_the_package_and_nothing_else(project: Project, built: Path) -> None:
    with ZipFile(project.wheel(built)) as wheel:
        packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == project.sources()
    assert f"{project.stem}/py.typed" in packed


@each_of_ours
def test_a_wheel_and_an_sdist_hold_the_licence(project: Project, built: Path) -> None:
    licence = (CORE.directory / "LICENSE").read_bytes()
    with ZipFile(project.wheel(built)) as wheel, tarfile.open(project.sdist(built)) as sdist:
        assert wheel.read(f"{project.stem}-{project.version}.dist-info/licenses/LICENSE") == licence
        packed = sdist.extractfile(f"{project.stem}-{project.version}/LICENSE")
        assert packed is not None
        assert packed.read() == licence
    assert metadata(project, built).get_all("License-File") == ["LICENSE"]
    assert metadata(project, built)["License-Expression"] == "MIT"


@each_of_ours
def test_an_sdist_holds_the_package_and_what_building_needs(project: Project, built: Path) -> None:
    with tarfile.open(project.sdist(built)) as sdist:
        packed = {Path(*Path(name).parts[1:]).as_posix() for name in sdist.getnames()}

    more = {"CHANGELOG.md"} if project == CORE else set()
    told = {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE", ".gitignore"}  # the last is hatchling's own doing
    assert packed == project.sources() | told | more


@each
def test_the_metadata_offer_the_extras_and_show_the_readme(project: Project, built: Path) -> None:
    told = metadata(project, built)

    assert set(told.get_all("Provides-Extra", [])) == project.extras
    assert told["Requires-Python"] == ">=3.11"
    assert told["Description-Content-Type"] == "text/markdown"
    readme = (project.directory / "README.md").read_text(encoding="utf-8")
    shown = told.get_payload(decode=True)
    assert isinstance(shown, bytes)
    assert shown.decode().strip() == readme.strip()


def test_the_conformance_suite_is_in_the_cores_wheel(built: Path) -> None:
    with ZipFile(CORE.wheel(built)) as wheel:
        packed = set(wheel.namelist())

    assert {"mobync_core/testing/suite.py", "mobync_core/testing/promises/commits.py"} <= packed
