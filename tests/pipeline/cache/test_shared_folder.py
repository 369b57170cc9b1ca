"""Several machines share a store: no lock is needed, and whoever is first decides."""

import fcntl
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.cache import owner
from pipeline.cache.owner import FORGOTTEN_S, Owner
from pipeline.cache.product import KEY_LETTERS, write_manifest
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store
from pipeline.cache.upkeep import prune
from pipeline.errors import StorageError
from pipeline.progress import Progress, Silent
from tests.pipeline.cache.notes import Note, Slow, leftovers, runs
from tests.pipeline.cache.store_processes import held

ELSEWHERE = Owner(time.time_ns(), "othermachine", 1, "1")


@dataclass(frozen=True)
class Overtaken(Stage):
    """Another machine finishes the same product while it runs."""

    name: ClassVar[str] = "overtaken"
    elsewhere: ClassVar[str] = "same"

    def run(self, output: Path, progress: Progress) -> None:
        (output / "note.txt").write_text("same")
        place = output.parents[1] / "products" / self.name / self.key()[:KEY_LETTERS]
        place.mkdir(parents=True)
        (place / "note.txt").write_text("other" if self.elsewhere == "other" else "same")
        write_manifest(place, self.name, self.key())
        (place / "note.txt").write_text(self.elsewhere)


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_no_lock_is_needed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("NFS knows no such lock")

    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, refuse)
    assert not Store(store.root).make(Note(), Silent()).cached
    assert store.make(Note(), Silent()).cached


def test_the_one_that_was_faster_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Overtaken, "elsewhere", "same")
    product = store.make(Overtaken(), said := Said())
    assert product.cached
    assert product.file("note.txt").read_text() == "same"
    assert (leftovers(store), said.lines) == ([], [])


def test_different_bytes_from_the_same_inputs_are_reported(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Overtaken, "elsewhere", "other")
    assert store.make(Overtaken(), said := Said()).file("note.txt").read_text() == "other"
    assert "two processes made different bytes from the same inputs" in said.lines[0]


def test_a_damaged_entry_of_another_machine_is_replaced(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Overtaken, "elsewhere", "half of")
    assert store.make(Overtaken(), Silent()).file("note.txt").read_text() == "same"
    assert leftovers(store) == []


def test_a_stopped_process_delays_no_other(store: Store) -> None:
    stopped = held(store)
    try:
        stopped.send_signal(signal.SIGSTOP)
        while "T" not in Path(f"/proc/{stopped.pid}/stat").read_text().rpartition(")")[2]:
            time.sleep(0.01)
        (store.root / "hold").unlink()
        assert store.make(Slow(), Silent()).file("note.txt").read_text() == "hello"
        stopped.send_signal(signal.SIGCONT)
        assert stopped.wait() == 0
        assert runs(store) == 2
        assert store.make(Slow(), Silent()).cached
        assert leftovers(store) == []
    finally:
        stopped.kill()
        stopped.wait()


def test_what_another_machine_writes_is_left_alone_until_it_is_forgotten(store: Store) -> None:
    theirs = store.root / "scratch" / f"{'0' * 32}.{ELSEWHERE}"
    theirs.mkdir()
    Store(store.root)
    assert leftovers(store) == [theirs]
    long_ago = time.time() - FORGOTTEN_S - 60
    os.utime(theirs, (long_ago, long_ago))
    Store(store.root)
    assert leftovers(store) == []


def test_pruning_waits_for_builds_of_other_machines(tmp_path: Path) -> None:
    root = tmp_path / "store"
    Store(root)
    (root / "users" / str(ELSEWHERE)).touch()
    with pytest.raises(StorageError, match=r"A build is using .* on othermachine \(if not, remove "):
        prune(root, 0, 0)
    (root / "users" / str(ELSEWHERE)).unlink()
    assert prune(root, 0, 0) == []


def test_a_number_of_a_process_that_came_again_is_not_the_same_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = Owner.me()
    assert mine.is_working()
    assert not Owner(mine.taken_ns, mine.host, mine.process, "1").is_working()
    monkeypatch.setattr(owner, "this_host", lambda: "another")
    assert not Owner(mine.taken_ns, mine.host, mine.process, mine.started).is_working()


CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc")
"""A container of the same name, whose processes are others with the same numbers: unshare(1)."""


def test_what_a_container_of_the_same_name_writes_is_left_alone(store: Store) -> None:
    tried = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no containers can be made here: {tried.stderr.strip()}")
    inside = held(store, CONTAINER)
    try:
        (theirs,) = leftovers(store)
        Store(store.root)
        assert leftovers(store) == [theirs]
        with pytest.raises(StorageError, match="A build is using"):
            prune(store.root, 0, 0)
        (store.root / "hold").unlink()
        assert inside.wait() == 0
    finally:
        inside.kill()
    assert Store(store.root).make(Slow(), Silent()).cached


def test_a_machine_keeps_its_name_when_it_starts_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace, ident, boot = (tmp_path / name for name in ("namespace", "machine-id", "boot_id"))
    files = {
        "/proc/self/ns/pid": namespace,
        "/etc/machine-id": ident,
        "/proc/sys/kernel/random/boot_id": boot,
    }
    monkeypatch.setattr(owner, "Path", lambda name: files[name])
    namespace.symlink_to("pid:[4026531836]")
    ident.write_text("f" * 32)
    boot.write_text("first start")
    name = owner.this_host()
    boot.write_text("second start")
    assert owner.this_host() == name
    namespace.unlink()
    namespace.symlink_to("pid:[7]")
    container = owner.this_host()
    assert container != name
    boot.write_text("another machine's")
    assert owner.this_host() not in (name, container)
