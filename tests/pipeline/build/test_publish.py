"""Published files equal the stored ones, byte by byte."""

import os
from pathlib import Path

import pytest

from pipeline.build import publish
from pipeline.build.publish import place, place_together
from pipeline.cache.digest import file_digest
from pipeline.cache.product import Product
from pipeline.errors import StorageError
from pipeline.stages.artifacts import StageOutput
from tests.pipeline.build.two_builds import two_builds


@pytest.fixture
def product(tmp_path: Path) -> StageOutput:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model.engine").write_bytes(b"engine")
    digests = {"model.engine": file_digest(tmp_path / "made" / "model.engine")}
    return StageOutput(Product("compile", "0" * 64, tmp_path / "made", digests, cached=True))


def test_a_file_damaged_at_the_last_moment_is_not_published(product: StageOutput, tmp_path: Path) -> None:
    product.file("model.engine").write_bytes(b"engiNe")
    (tmp_path / "model.engine").write_bytes(b"before")
    with pytest.raises(StorageError, match=r"model\.engine was damaged before it could be copied"):
        place(product, "model.engine", tmp_path / "model.engine")
    assert (tmp_path / "model.engine").read_bytes() == b"before"


def test_what_was_published_and_then_edited_is_put_right(product: StageOutput, tmp_path: Path) -> None:
    published = tmp_path / "model.engine"
    place(product, "model.engine", published)
    before = published.stat()
    published.write_bytes(b"engiNe")
    os.utime(published, ns=(before.st_atime_ns, before.st_mtime_ns))
    place(product, "model.engine", published)
    assert published.read_bytes() == b"engine"


@pytest.mark.parametrize("place_of_it", ["/proc/kmsg", "/proc/self/mem"])
def test_a_link_to_what_cannot_be_read_is_replaced(
    product: StageOutput, tmp_path: Path, place_of_it: str
) -> None:
    published = tmp_path / "model.engine"
    published.symlink_to(place_of_it)
    place(product, "model.engine", published)
    assert not published.is_symlink()
    assert published.read_bytes() == b"engine"


def test_a_link_to_a_device_stays(product: StageOutput, tmp_path: Path) -> None:
    published = tmp_path / "model.engine"
    published.symlink_to("/dev/zero")
    with pytest.raises(FileExistsError, match="it is a pipe or a device, not a file"):
        place(product, "model.engine", published)
    assert published.is_symlink()


def test_what_is_there_already_is_left_alone(product: StageOutput, tmp_path: Path) -> None:
    place(product, "model.engine", tmp_path / "model.engine")
    before = (tmp_path / "model.engine").stat().st_ino
    place(product, "model.engine", tmp_path / "model.engine")
    assert (tmp_path / "model.engine").stat().st_ino == before


def test_builds_that_publish_one_name_at_once_leave_the_files_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second build overwrites the files once, after the first has written all of them."""
    monkeypatch.setattr(publish, "PAUSE_SECONDS", 0)
    one, two = two_builds(tmp_path)
    others = iter(two.items())

    def another_build_writes() -> None:
        for file, output in others:
            place(*output, file)

    place_together(one, another_build_writes)
    assert (tmp_path / "model.engine").read_text() == "onemodel.engine"
    assert (tmp_path / "report.json").read_text() == "onereport.json"
