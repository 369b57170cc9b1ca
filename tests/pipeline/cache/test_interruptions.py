"""Kills, full disks and several builds at once leave a store that the next build can use."""

import signal
from pathlib import Path

import pytest

from pipeline.cache.store import Store
from pipeline.errors import StorageError
from pipeline.progress import Progress, Silent
from tests.pipeline.cache.notes import Note, Slow, leftovers, runs
from tests.pipeline.cache.store_processes import held, process


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
