"""A damaged entry of the store is named, and its stage runs again."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cache.product import MANIFEST
from pipeline.cache.store import Store
from pipeline.progress import Silent
from tests.pipeline.cache.notes import Note


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
    "a flipped bit": (flip_a_bit, "note.txt differs"),
    "cut": (lambda entry: os.truncate(entry / "note.txt", 2), "note.txt differs"),
    "emptied": (lambda entry: os.truncate(entry / "note.txt", 0), "note.txt differs"),
    "removed": (lambda entry: (entry / "note.txt").unlink(), "note.txt is missing"),
    "one too many": (lambda entry: (entry / "more.txt").touch(), "more.txt does not belong there"),
    "a link": (link_out, "note.txt is not a regular file"),
    "the entry a link": (link_the_entry_out, "it is a link"),
    "the entry a file": (be_a_file, "it is not a folder"),
    "no manifest": (lambda entry: (entry / MANIFEST).unlink(), "product.json cannot be read"),
    "a folder in its place": (be_no_manifest, "product.json cannot be read"),
    "another product": (be_another_product, "it holds another product, of the stage note"),
    **{
        f"manifest {content[:12]}": (with_manifest(content), told)
        for content, told in (
            ("", "is not valid JSON"),
            ("{", "is not valid JSON"),
            ("\x00", "is not valid JSON"),
            ("[" * 100_000, "is not valid JSON"),
            ("{}", "lists no files"),
            ("[]", "lists no files"),
            ("null", "lists no files"),
            ("3", "lists no files"),
            ('{"note.txt": "abc"}', "lists no files"),
        )
    },
    **{f"files {json.dumps(files)[:20]}": (with_files(files), "lists no files") for files in NO_FILES},
}


class LineListener(Silent):
    """Remembers all messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_named_and_replaced(
    store: Store, damage: Callable[[Path], None], told: str
) -> None:
    entry = store.make(Note(), Silent()).folder
    damage(entry)
    listener = LineListener()
    again = store.make(Note(), listener)
    assert (again.cached, again.file("note.txt").read_text()) == (False, "hello")
    assert told in again.damage
    assert [str(entry) in line and told in line for line in listener.lines] == [True]
    assert store.make(Note(), Silent()).cached
