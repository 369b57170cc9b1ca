"""CONTRIBUTING.md says what to touch to add something: the places are there, and no list is long."""

import re

import pytest

from tests.conftest import ROOT
from tests.dummies import MOST

TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def places(heading: str) -> list[tuple[str, str]]:
    """The files under a heading, and what is looked for in each."""
    section = TEXT.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return re.findall(r"^- `([^`]+)`: `([^`]+)`", section, re.MULTILINE)


def test_all_that_can_be_added_is_counted() -> None:
    assert re.findall(r"^### (.*)$", TEXT, re.MULTILINE) == list(MOST)


@pytest.mark.parametrize("heading", MOST)
def test_the_files_and_what_is_to_be_extended_in_them_are_there(heading: str) -> None:
    found = places(heading)
    assert len(found) == MOST[heading]
    for file, hook in found:
        if "<" in file:  # a new one
            assert (ROOT / file).parent.is_dir()
        else:
            assert hook in (ROOT / file).read_text()


def test_there_are_ten_principles() -> None:
    section = TEXT.split("\n## Principles\n")[1].split("\n## ")[0]
    assert re.findall(r"^(\d+)\. ", section, re.MULTILINE) == [str(n) for n in range(1, 11)]


def test_the_document_names_the_folders_that_are_there_and_no_others() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text()
    block = document.split("## Where things are\n\n")[1].split("\n\n")[0]
    top, told = "", []
    for line in block.splitlines():
        names = re.match(r" {4}(  )?((?:[a-z]+/ ?)+)", line)
        assert names, line
        top = top if names[1] else names[2].strip()
        told += [top if not names[1] else f"{top}{name}" for name in names[2].split()]
    assert [folder for folder in told if not (ROOT / folder).is_dir()] == []
    packages = ("pipeline", "targets", "calibration")
    folders = [path for package in packages for path in (ROOT / package).iterdir() if path.is_dir()]
    existing = {path.relative_to(ROOT).as_posix() for path in folders if not path.is_symlink()}
    assert {name for name in existing if not name.endswith("__pycache__")} <= {
        name.rstrip("/") for name in told
    }
