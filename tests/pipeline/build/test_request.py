"""A configuration becomes a request with the objects that stages need."""

from pathlib import Path

import pytest

from pipeline.build.request import Request
from pipeline.config import BuildConfig
from pipeline.errors import DataError
from pipeline.progress import Silent
from tests.pipeline.data.pictures import class_folders, write_folder


@pytest.mark.parametrize(("seconds", "warm_up"), [(0.2, 0.2), (10.0, 5.0)])
def test_warming_up_takes_no_longer_than_measuring_may(seconds: float, warm_up: float) -> None:
    config = BuildConfig.model_validate({"latency": {"seconds": seconds}})
    settings = Request(config, Silent()).latency_settings
    assert (settings.max_seconds, settings.max_warmup_seconds) == (seconds, warm_up)


@pytest.mark.parametrize("name", ["a\nb", "a\tb", "a\x1b[2J", "a\u2028b", "a\x85b"])
def test_a_class_that_takes_two_lines_of_a_list_is_refused(name: str, tmp_path: Path) -> None:
    """Else labels.txt has one line more than there are classes, and the bundle is refused by its verifier."""
    files = class_folders(calibration=4, test=4)
    write_folder(tmp_path / "data", {path.replace("birch", name): data for path, data in files.items()})
    (tmp_path / "weights.pt").write_bytes(b"read later")
    config = BuildConfig(model="resnet18", checkpoint=tmp_path / "weights.pt", data=tmp_path / "data")
    with pytest.raises(DataError, match="has a line break or another control character"):
        Request(config, Silent())


def test_the_first_calibration_images_have_all_classes(tmp_path: Path) -> None:
    """Folders lie class after class, and some methods read only the first images."""
    write_folder(tmp_path / "data", class_folders(calibration=40, test=4))
    (tmp_path / "weights.pt").write_bytes(b"read later")
    config = BuildConfig(model="resnet18", checkpoint=tmp_path / "weights.pt", data=tmp_path / "data")
    labels = Request(config, Silent()).calibration.labels.tolist()
    assert sorted(labels[: len(labels) // 2]) == sorted(labels[len(labels) // 2 :])
    assert len(set(labels)) > 1
