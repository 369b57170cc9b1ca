"""Keys depend on content, never on where it lies."""

import hashlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache.digest import (
    InputFile,
    RememberedDigests,
    canonical,
    file_digest,
    folder_digests,
    value_digest,
)
from pipeline.errors import DataError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@dataclass(frozen=True)
class Point:
    x: int
    y: int


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"edge")
    assert file_digest(tmp_path / "a") == hashlib.sha256(b"edge").hexdigest()


def test_a_folder_lists_its_files_by_relative_path(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    assert list(folder_digests(tmp_path)) == ["a", "deep/b"]


def test_a_moved_file_keeps_its_digest(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"same")
    assert value_digest(InputFile.at(tmp_path / "a")) == value_digest(InputFile.at(tmp_path / "b"))


@given(json_values)
def test_equal_values_have_equal_digests(value: object) -> None:
    assert value_digest(value) == value_digest(value)


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_a_mapping_does_not_count(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


@given(st.sets(st.text()))
def test_the_order_of_a_set_does_not_count(names: set[str]) -> None:
    assert canonical(frozenset(names)) == canonical(frozenset(sorted(names, reverse=True)))
    assert value_digest(frozenset(names)) == value_digest(sorted(names, key=canonical))


def test_dataclasses_count_field_by_field() -> None:
    assert value_digest(Point(1, 2)) != value_digest(Point(2, 1))


@pytest.mark.parametrize("value", [Path("here"), {1, 2}, object(), float("nan")])
def test_what_has_no_canonical_form_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        value_digest(value)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files that were just written for old ones."""
    monkeypatch.setattr(RememberedDigests, "RACY_NS", -1)


def remembering(path: Path, file: Path) -> RememberedDigests:
    """Return digests that have been learned, saved and loaded."""
    first = RememberedDigests(path)
    first(file)
    first.save()
    return RememberedDigests(path)


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.mark.usefixtures("settled")
def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a", b"edge")
    again = remembering(tmp_path / "known.json", file)
    monkeypatch.setattr("pipeline.cache.digest.file_digest", lambda _: pytest.fail("read again"))
    assert again(file) == sha256(b"edge")


def overwrite(file: Path) -> None:
    file.write_bytes(b"EDGE")


def overwrite_in_place_and_set_the_time_back(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"EDGE")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_one_of_the_same_time(file: Path) -> None:
    before = file.stat()
    other = written(file.with_name("other"), b"EDGE")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(file)


def write_through_another_name(file: Path) -> None:
    before = file.stat()
    (file.parent / "also").hardlink_to(file)
    overwrite_in_place_and_set_the_time_back(file.parent / "also")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_through_a_map(file: Path) -> None:
    before = file.stat()
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[:] = b"EDGE"
        mapped.flush()
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def lead_the_folder_elsewhere(file: Path) -> None:
    before = file.stat()
    folder = file.parent
    other = folder.with_name("elsewhere")
    other.mkdir()
    os.utime(written(other / file.name, b"EDGE"), ns=(before.st_atime_ns, before.st_mtime_ns))
    folder.rename(folder.with_name("before"))
    folder.symlink_to(other)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "change",
    [
        overwrite,
        overwrite_in_place_and_set_the_time_back,
        replace_by_one_of_the_same_time,
        write_through_another_name,
        write_through_a_map,
        lead_the_folder_elsewhere,
    ],
)
def test_a_changed_file_is_read_again(change: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = written(tmp_path / "data" / "a", b"edge")
    again = remembering(tmp_path / "known.json", file)
    change(file)
    assert again(file) == sha256(b"EDGE")


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    file = written(tmp_path / "a", b"edge")
    os.utime(file, (0, 0))  # its last modification is set back; that it changed just now is not
    remembering(tmp_path / "known.json", file)
    assert not (tmp_path / "known.json").exists()


@pytest.mark.usefixtures("settled")
def test_memory_that_was_edited_is_forgotten(tmp_path: Path) -> None:
    file, known = written(tmp_path / "a", b"edge"), tmp_path / "known.json"
    remembering(known, file)
    known.write_text(known.read_text().replace(sha256(b"edge"), sha256(b"EDGE")))
    assert RememberedDigests(known)(file) == sha256(b"edge")


def test_a_file_and_what_it_names_are_one_input(tmp_path: Path) -> None:
    model, weights = written(tmp_path / "model", b"model"), written(tmp_path / "weights", b"one")
    alone, before = InputFile.at(model), InputFile.at(model, [weights])
    weights.write_bytes(b"two")
    assert len({alone.digest, before.digest, InputFile.at(model, [weights]).digest}) == 3
    assert alone.digest == sha256(b"model")


def test_an_input_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="weights: No such file"):
        InputFile.at(written(tmp_path / "model", b"model"), [tmp_path / "weights"])


@pytest.mark.parametrize("content", ['{"cut off', "{}", "[]", "3", '["x", {}]', "[1, 2]", '["x", [1]]'])
def test_damaged_memory_is_forgotten(tmp_path: Path, content: str) -> None:
    (tmp_path / "known.json").write_text(content)
    file = written(tmp_path / "a", b"edge")
    assert RememberedDigests(tmp_path / "known.json")(file) == sha256(b"edge")
