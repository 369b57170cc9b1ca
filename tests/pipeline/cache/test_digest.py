"""Keys depend on content, never on where it lies."""

import hashlib
import os
import time
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


def aged(path: Path, content: bytes) -> Path:
    """Write a file that was last modified an hour ago."""
    path.write_bytes(content)
    hour_ago = time.time() - 3600
    os.utime(path, (hour_ago, hour_ago))
    return path


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = aged(tmp_path / "a", b"edge")
    first = RememberedDigests(tmp_path / "known.json")
    digest = first(file)
    first.save()
    monkeypatch.setattr("pipeline.cache.digest.file_digest", lambda _: pytest.fail("read again"))
    assert RememberedDigests(tmp_path / "known.json")(file) == digest


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    remembered = RememberedDigests(tmp_path / "known.json")
    remembered(aged(tmp_path / "a", b"edge"))
    (tmp_path / "a").write_bytes(b"EDGE")
    assert remembered(tmp_path / "a") == hashlib.sha256(b"EDGE").hexdigest()


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"edge")
    remembered = RememberedDigests(tmp_path / "known.json")
    remembered(file)
    remembered.save()
    assert not (tmp_path / "known.json").exists()


def test_damaged_memory_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text('{"cut off')
    file = aged(tmp_path / "a", b"edge")
    assert RememberedDigests(tmp_path / "known.json")(file) == hashlib.sha256(b"edge").hexdigest()
