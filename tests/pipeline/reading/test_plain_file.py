"""A file that others gave is read whole or refused, and never waited for."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.reading.plain_file import read_plain


@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_it_is_read_whole_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, limit: int
) -> None:
    path = tmp_path_factory.mktemp("plain") / "x"
    path.write_bytes(content)
    if len(content) <= limit:
        assert read_plain(path, limit) == content
    else:
        with pytest.raises(OSError, match=f"longer than {limit:,} bytes"):
            read_plain(path, limit)


def test_pipes_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero"), Path("/dev/stdin"), tmp_path):
        with pytest.raises(OSError):  # noqa: PT011 - the words differ
            read_plain(path, 100)


def test_the_kernels_files_are_bounded_too() -> None:
    assert read_plain(Path("/proc/version"), 10_000)
    with pytest.raises(OSError, match="longer than 10 bytes"):
        read_plain(Path("/proc/version"), 10)


def test_a_missing_file_gives_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "none", 10)
