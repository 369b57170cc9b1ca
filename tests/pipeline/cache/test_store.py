"""The store runs a stage once, keeps whole products only, and survives kills, full disks and company."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.cache.digest import InputFile
from pipeline.cache.stage import ROOT, Stage
from pipeline.cache.store import Store, writing
from pipeline.errors import StorageError
from pipeline.progress import Progress, Silent


@dataclass(frozen=True)
class Note(Stage):
    """Writes a text, and where it was run."""

    name: ClassVar[str] = "note"
    code: ClassVar[tuple[str, ...]] = ("tests/pipeline/cache/test_store.py",)

    text: str = "hello"
    source: InputFile | None = None

    def run(self, output: Path, progress: Progress) -> None:
        with (output.parent.parent / "runs").open("a") as log:
            log.write(f"{os.getpid()}\n")
        (output / "note.txt").write_text(self.text)


@dataclass(frozen=True)
class Slow(Note):
    """Waits while the store has a file `hold`, with half of its output written."""

    name: ClassVar[str] = "slow"

    def run(self, output: Path, progress: Progress) -> None:
        (output / "half.txt").write_text("half")
        (output.parent.parent / "started").touch()
        while (output.parent.parent / "hold").exists():
            time.sleep(0.01)
        super().run(output, progress)


@dataclass(frozen=True)
class Failing(Stage):
    """Raises what it is told after writing something."""

    name: ClassVar[str] = "failing"
    code: ClassVar[tuple[str, ...]] = ("tests/pipeline/cache/test_store.py",)

    def run(self, output: Path, progress: Progress) -> None:
        (output / "half.txt").write_text("half")
        raise RuntimeError("as told")


def runs(store: Store) -> int:
    log = store.root / "runs"
    return len(log.read_text().splitlines()) if log.exists() else 0


def leftovers(store: Store) -> list[Path]:
    return list((store.root / "scratch").iterdir())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_stage_runs_once(store: Store) -> None:
    first, second = store.make(Note(), Silent()), store.make(Note(), Silent())
    assert (first.cached, second.cached, runs(store)) == (False, True, 1)
    assert first.digest == second.digest
    assert second.file("note.txt").read_text() == "hello"


def test_another_field_is_another_product(store: Store) -> None:
    assert store.make(Note("a"), Silent()).digest != store.make(Note("b"), Silent()).digest


def test_a_changed_input_byte_runs_the_stage_again(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for content in (b"one", b"two", b"one"):
        source.write_bytes(content)
        store.make(Note(source=InputFile.at(source)), Silent())
    assert runs(store) == 2


def test_a_lost_file_is_made_again(store: Store) -> None:
    store.make(Note(), Silent()).file("note.txt").unlink()
    assert store.make(Note(), Silent()).file("note.txt").read_text() == "hello"


def test_asking_for_a_file_that_was_not_written_is_a_bug(store: Store) -> None:
    with pytest.raises(KeyError, match=r"note\.txt"):
        store.make(Note(), Silent()).file("other.txt")


def test_a_stage_that_fails_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError, match="as told"):
        store.make(Failing(), Silent())
    assert leftovers(store) == []
    assert not (store.root / "products" / "failing").exists()


MAKE = """
import sys
from pathlib import Path
from pipeline.progress import Silent
from pipeline.cache.store import Store
from tests.pipeline.cache.test_store import Note, Slow
Store(Path(sys.argv[1])).make({"Note": Note, "Slow": Slow}[sys.argv[2]](), Silent())
"""


def process(store: Store, stage: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", MAKE, str(store.root), stage], cwd=ROOT)


def held(store: Store) -> "subprocess.Popen[bytes]":
    """Start a process that is in the middle of its stage, and stays there."""
    (store.root / "hold").touch()
    started = process(store, "Slow")
    while not (store.root / "started").exists():
        assert started.poll() is None
        time.sleep(0.01)
    return started


def test_after_kill_nine_in_the_middle_the_next_build_succeeds(store: Store) -> None:
    builder = held(store)
    builder.send_signal(signal.SIGKILL)
    builder.wait()
    (store.root / "hold").unlink()
    assert len(leftovers(store)) == 1
    product = store.make(Slow(), Silent())
    assert product.file("note.txt").read_text() == "hello"
    assert leftovers(store) == []


def test_what_a_killed_build_left_is_swept_by_the_next_even_if_it_makes_other_things(store: Store) -> None:
    killed = held(store)
    try:
        Store(store.root)
        assert len(leftovers(store)) == 1, "it is still being written"
    finally:
        killed.kill()
        killed.wait()
    Store(store.root)
    assert leftovers(store) == []


def test_two_builds_at_once_do_the_work_once(store: Store) -> None:
    builders = [process(store, "Slow") for _ in range(3)]
    assert [builder.wait() for builder in builders] == [0, 0, 0]
    assert runs(store) == 1


def test_a_full_disk_is_an_error_and_leaves_nothing(store: Store) -> None:
    class Full(Note):
        name = "full"

        def run(self, output: Path, progress: Progress) -> None:
            (output / "half.txt").write_text("half")
            with Path("/dev/full").open("w") as full:  # every write to it fails as on a full disk
                full.write("x")

    with pytest.raises(StorageError, match="No space left"):
        store.make(Full(), Silent())
    assert leftovers(store) == []


def test_a_folder_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(StorageError, match="--out"):
        Store(Path("/sys/edgec"))  # not even root may write there


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "store").touch()
    with pytest.raises(StorageError, match="--out"):
        Store(tmp_path / "store")


def test_every_place_that_cannot_be_written_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    for place in ("loop/x", "missing/x", "folder", "n" * 300):
        file = tmp_path / place
        with pytest.raises(StorageError, match="--html") as error, writing(file.parent, "--html"):
            file.write_text("x")
        assert str(file) in str(error.value)


def test_a_file_of_ours_that_is_missing_is_a_bug(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), writing(tmp_path):
        (tmp_path / "never written").read_text()


def test_files_are_closed(store: Store) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for i in range(20):
        store.make(Note(str(i)), Silent())
    assert len(list(descriptors.iterdir())) == before
