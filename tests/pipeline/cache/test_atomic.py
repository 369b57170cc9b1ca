"""A file appears completely or not at all, and nothing is left beside it."""

import os
from pathlib import Path

import pytest

from pipeline.cache.atomic import replacing


def test_what_was_written_takes_its_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    with replacing(tmp_path / "x") as scratch:
        scratch.write_text("after")
        assert (tmp_path / "x").read_text() == "before"
    assert (tmp_path / "x").read_text() == "after"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("before")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "x") as scratch:  # noqa: PT012 - half-way
        scratch.write_text("aft")
        raise KeyboardInterrupt
    assert (tmp_path / "x").read_text() == "before"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    longest = tmp_path / ("é" * 127)  # 254 bytes
    with replacing(longest) as scratch:
        scratch.write_text("all of it")
    assert longest.read_text() == "all of it"


@pytest.mark.parametrize("by_a_link", [False, True])
def test_no_file_takes_the_place_of_a_pipe_or_a_device(tmp_path: Path, by_a_link: bool) -> None:
    """As root one would otherwise remove /dev/null."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    with (
        pytest.raises(FileExistsError, match="a pipe or a device"),
        replacing(tmp_path / ("link" if by_a_link else "pipe")),
    ):
        pytest.fail("nothing is written")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()
