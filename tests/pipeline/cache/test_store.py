"""The store runs a stage once, keeps whole products only, and survives kills, full disks and company."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.cache.digest import InputFile
from pipeline.cache.own_code import ROOT
from pipeline.cache.product import MANIFEST, Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store, writing
from pipeline.errors import DataError, StorageError
from pipeline.progress import Progress, Silent
from tests.pipeline.cache.notes import Note


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


def flip_a_bit(entry: Path) -> None:
    content = bytearray((entry / "note.txt").read_bytes())
    content[0] ^= 1
    before = (entry / "note.txt").stat()
    (entry / "note.txt").write_bytes(content)
    os.utime(entry / "note.txt", ns=(before.st_atime_ns, before.st_mtime_ns))


def with_manifest(content: str) -> Callable[[Path], None]:
    def damage(entry: Path) -> None:
        (entry / MANIFEST).write_text(content)

    return damage


def with_files(files: object) -> Callable[[Path], None]:
    def damage(entry: Path) -> None:
        told = json.loads((entry / MANIFEST).read_text())
        (entry / MANIFEST).write_text(json.dumps({**told, "files": files}))

    return damage


def link_out(entry: Path) -> None:
    (entry / "note.txt").rename(entry.parent / "elsewhere")
    (entry / "note.txt").symlink_to(entry.parent / "elsewhere")


def link_the_entry_out(entry: Path) -> None:
    entry.rename(entry.with_name("elsewhere"))
    entry.symlink_to(entry.with_name("elsewhere"))


def be_a_file(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.touch()


def be_no_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()
    (entry / MANIFEST).mkdir()


def be_another_product(entry: Path) -> None:
    """Put a whole and sound entry into the place of another one."""
    store = Store(entry.parents[2])
    other = store.make(Note("another"), Silent()).folder
    shutil.rmtree(entry)
    shutil.copytree(other, entry)


NO_FILES: tuple[object, ...] = (
    {},
    [],
    None,
    {"note.txt": 3},
    {"note.txt": "abc"},
    {"../x": "0" * 64},
    {"/etc/passwd": "0" * 64},
    {"": "0" * 64},
    {MANIFEST: "0" * 64},
)
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a flipped bit": (flip_a_bit, "note.txt has other bytes"),
    "cut": (lambda entry: os.truncate(entry / "note.txt", 2), "note.txt has other bytes"),
    "emptied": (lambda entry: os.truncate(entry / "note.txt", 0), "note.txt has other bytes"),
    "removed": (lambda entry: (entry / "note.txt").unlink(), "note.txt is missing"),
    "one too many": (lambda entry: (entry / "more.txt").touch(), "more.txt does not belong there"),
    "a link": (link_out, "note.txt is no file"),
    "the entry a link": (link_the_entry_out, "it is a link"),
    "the entry a file": (be_a_file, "it is no folder"),
    "no manifest": (lambda entry: (entry / MANIFEST).unlink(), "product.json cannot be read"),
    "a folder in its place": (be_no_manifest, "product.json cannot be read"),
    "another product": (be_another_product, "it is another product, of the stage note"),
    **{
        f"manifest {content[:12]}": (with_manifest(content), told)
        for content, told in (
            ("", "is no JSON"),
            ("{", "is no JSON"),
            ("\x00", "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("{}", "lists no files"),
            ("[]", "lists no files"),
            ("null", "lists no files"),
            ("3", "lists no files"),
            ('{"note.txt": "abc"}', "lists no files"),
        )
    },
    **{f"files {json.dumps(files)[:20]}": (with_files(files), "lists no files") for files in NO_FILES},
}


class Listener(Silent):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_named_and_made_anew(
    store: Store, damage: Callable[[Path], None], told: str
) -> None:
    entry = store.make(Note(), Silent()).folder
    damage(entry)
    listener = Listener()
    again = store.make(Note(), listener)
    assert (again.cached, again.file("note.txt").read_text()) == (False, "hello")
    assert told in again.damage
    assert [str(entry) in line and told in line for line in listener.lines] == [True]
    assert store.make(Note(), Silent()).cached


def test_a_stage_that_writes_nothing_is_a_bug(store: Store) -> None:
    class Nothing(Note):
        name = "nothing"

        def run(self, output: Path, progress: Progress) -> None:
            pass

    with pytest.raises(RuntimeError, match="wrote nothing"):
        store.make(Nothing(), Silent())


@dataclass(frozen=True)
class Meddled(Note):
    """Something changes an input while the stage runs, after it was read or before."""

    name: ClassVar[str] = "meddled"
    product: Product | None = None

    def run(self, output: Path, progress: Progress) -> None:
        path = self.source.path if self.source else self.product.file("note.txt") if self.product else None
        assert path is not None
        before, times = path.read_bytes(), path.stat()
        path.write_bytes(b"other")
        (output / "note.txt").write_bytes(path.read_bytes())
        path.write_bytes(before if self.text == "and back" else b"other")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("text", ["once", "and back"])
def test_an_input_that_changes_while_it_is_read_is_an_error(store: Store, tmp_path: Path, text: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"bytes")
    with pytest.raises(DataError, match=r"source was changed while the build was reading it"):
        store.make(Meddled(text, InputFile.at(source)), Silent())
    assert leftovers(store) == []
    assert not (store.root / "products" / "meddled").exists()


def test_a_product_that_changes_while_it_is_used_is_an_error(store: Store) -> None:
    product = store.make(Note(), Silent())
    with pytest.raises(StorageError, match=r"was damaged while the build used it: note\.txt has other bytes"):
        store.make(Meddled(product=product), Silent())
    assert not (store.root / "products" / "meddled").exists()


def test_bytes_and_names_are_on_the_disk_before_a_result_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    product = store.make(Note(), Silent())
    names = [Path(path).name for path in flushed]
    assert {"note.txt", MANIFEST} <= set(names[:-2])
    assert flushed[-1] == str(product.folder.parent), "the folder that holds the new name comes last"


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
