"""Digests of files as units: those of one process, and none of a file that changed meanwhile."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from pipeline.cache import digest as cache_digest
from pipeline.cache.digest import RememberedDigests
from pipeline.progress import Progress, Silent
from pipeline.units import digest_unit
from pipeline.units.digest_unit import DigestUnit, share_digests
from pipeline.units.unit import FinishedUnit, Unit
from pipeline.units.workers import Here

R = TypeVar("R")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digest_unit, "UNIT_FILES", 2)
    monkeypatch.setattr(RememberedDigests, "RACY_NS", -1)  # the files are new
    below = tmp_path / "photos"
    for number in range(5):
        file = below / f"class {number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"picture %d" % number)
    (below / "pipe").symlink_to("/dev/zero")
    (below / "nowhere").symlink_to("missing")
    return below


def test_what_units_digested_is_not_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_digests(folder, RememberedDigests(tmp_path / "digests.json"), Here(), Silent())
    monkeypatch.setattr(cache_digest, "file_digest", None)
    monkeypatch.setattr(digest_unit, "file_digest", None)
    known = RememberedDigests(tmp_path / "digests.json")
    files = sorted(folder.glob("*/*.png"))
    assert [known(file) for file in files] == [hashlib.sha256(one.read_bytes()).hexdigest() for one in files]
    share_digests(folder, known, Here(), Silent())


def test_a_file_that_changed_or_went_has_no_digest(folder: Path) -> None:
    names = tuple(f"class {number % 2}/{number}.png" for number in range(4))
    seen = [(folder / name).stat() for name in names]
    unit = DigestUnit(folder, names, tuple((one.st_size, one.st_mtime_ns) for one in seen), "all")
    (folder / names[0]).write_bytes(b"longer than before")
    os.utime(folder / names[1], ns=(0, 1))
    (folder / names[2]).unlink()
    assert unit.run(Silent()) == (None, None, None, hashlib.sha256(b"picture 3").hexdigest())


def test_a_file_that_changes_while_a_unit_runs_is_read_again(folder: Path, tmp_path: Path) -> None:
    class ChangedMeanwhile(Here):
        def run(self, units: Sequence[Unit[R]], progress: Progress) -> Iterator[FinishedUnit[R]]:
            for done in super().run(units, progress):
                (folder / "class 0" / "0.png").write_bytes(b"another picture")
                yield done

    known = RememberedDigests(tmp_path / "digests.json")
    share_digests(folder, known, ChangedMeanwhile(), Silent())
    assert not known.has(folder / "class 0" / "0.png")
    assert known.has(folder / "class 1" / "1.png")
    assert known(folder / "class 0" / "0.png") == hashlib.sha256(b"another picture").hexdigest()
