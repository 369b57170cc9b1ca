"""The store runs a stage once, keeps whole products only, and notices what changes under it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.cache.digest import InputFile
from pipeline.cache.product import MANIFEST, Product
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.errors import DataError, StorageError
from pipeline.progress import Progress, Silent
from tests.pipeline.cache.notes import Note, leftovers, runs


@dataclass(frozen=True)
class Failing(Stage):
    """Raises a given error after it has written something."""

    name: ClassVar[str] = "failing"

    def run(self, output: Path, progress: Progress) -> None:
        (output / "half.txt").write_text("half")
        raise RuntimeError("as told")


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
    with pytest.raises(
        StorageError, match=r"was damaged while the build used it: note\.txt differs from what was stored"
    ):
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


def test_files_are_closed(store: Store) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    for i in range(20):
        store.make(Note(str(i)), Silent())
    assert len(list(descriptors.iterdir())) == before
