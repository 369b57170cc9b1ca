"""An output that cannot be written is an error that names the option which chooses another place."""

from pathlib import Path

import pytest

from pipeline.cache.store import Store, writing
from pipeline.cli.console import write_text
from pipeline.errors import StorageError, WrongPlaceError


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


@pytest.mark.parametrize("place", ["nowhere/page.html", "file/page.html", "folder"])
def test_an_invalid_folder_is_wrong_usage_and_named_as_given(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(WrongPlaceError) as refused:
        write_text(tmp_path / place, "text", "--html")
    assert str(refused.value).startswith(f"Cannot write {tmp_path / place}: ")
    assert refused.value.exit_code == 2
