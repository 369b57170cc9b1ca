"""A zip is opened if it is a plain file whose members hold something: its list alone can fill the memory."""

import struct
import zipfile
from pathlib import Path

import pytest

from pipeline.data.open import open_dataset
from pipeline.errors import CheckpointError, DataError
from pipeline.models.keras import read_keras
from pipeline.models.weights.content import read_content
from pipeline.reading import zip_file
from pipeline.reading.zip_file import is_zip, open_zip


def of_empty_members(path: Path, count: int) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(zipfile.ZipInfo(f"{number:05}"), b"")
    return path


@pytest.fixture(autouse=True)
def _small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_file, "ZIP_LIST_BYTES", 10_000)


def test_a_list_that_is_most_of_the_file_is_not_read(tmp_path: Path) -> None:
    with open_zip(of_empty_members(tmp_path / "few.zip", 100)) as archive:
        assert len(archive.namelist()) == 100
    with pytest.raises(zipfile.BadZipFile, match="its list of members takes 51,000 of its "):
        open_zip(of_empty_members(tmp_path / "many.zip", 1000))


def test_a_long_list_of_members_that_hold_something_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(300):
            archive.writestr(f"{number:05}", bytes(500))
    with open_zip(path) as archive:
        assert len(archive.namelist()) == 300


def test_the_size_in_the_record_for_large_archives_counts(tmp_path: Path) -> None:
    """Zip64 (APPNOTE 4.3.14): the short record says 0xffffffff, a record before it the size."""
    path = of_empty_members(tmp_path / "large.zip", 1000)
    content = path.read_bytes()
    listed, at = struct.unpack("<II", content[-10:-2])
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1000, 1000, listed, at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at + listed, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:-22] + record + locator + end)
    assert len(zipfile.ZipFile(path).namelist()) == 1000
    with pytest.raises(zipfile.BadZipFile, match="its list of members takes 51,000"):
        open_zip(path)


def test_every_reader_of_zips_says_so_in_words(tmp_path: Path) -> None:
    many = of_empty_members(tmp_path / "many.zip", 1000)
    with pytest.raises(DataError, match="its list of members"):
        open_dataset(many)
    with pytest.raises(CheckpointError, match="its list of members"):
        read_content(many.rename(tmp_path / "many.pt"))
    with pytest.raises(CheckpointError, match="its list of members"):
        read_keras((tmp_path / "many.pt").rename(tmp_path / "many.keras"))


def test_a_device_file_is_not_a_zip() -> None:
    assert not is_zip(Path("/dev/zero"))
    with pytest.raises(zipfile.BadZipFile, match="not a plain file"):
        open_zip(Path("/dev/zero"))
