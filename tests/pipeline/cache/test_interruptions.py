"""Kills, full disks and several builds at once leave a store that the next build can use."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cache.code_at_start import ROOT
from pipeline.cache.product import KEY_LETTERS, Product, read_product
from pipeline.cache.store import Store
from pipeline.errors import StorageError
from pipeline.progress import Progress, Silent
from tests.pipeline.cache.notes import Note, Slow, leftovers, runs
from tests.pipeline.cache.store_processes import held, process

BEGINS = "from pipeline.cache.owner import Owner; print(Owner.me().before_all(), flush=True); input()"


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


def test_what_another_build_finished_just_before_is_not_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.make(Slow(), Silent())
    too_early = [True]

    def look(stage: str, key: str, place: Path) -> Product | None:
        return None if too_early and too_early.pop() else read_product(stage, key, place)

    monkeypatch.setattr("pipeline.cache.store.read_product", look)
    assert store.make(Slow(), Silent()).file("note.txt").read_text() == "hello"
    assert runs(store) == 1


def test_who_has_no_time_yet_is_waited_for(store: Store) -> None:
    """It may get an earlier one than ours."""
    said = []
    with subprocess.Popen(
        [sys.executable, "-c", BEGINS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        folder = store.root / "scratch" / f"{Slow().key()[:KEY_LETTERS]}.{name}"
        folder.mkdir()

        class FolderRemover(Silent):
            def say(self, line: str) -> None:
                said.append(line)
                folder.rmdir()

        store.make(Slow(), FolderRemover())
        other.communicate("\n")
    assert said == ["slow: another build is running this stage; waiting for its result"]


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
