"""Which pictures are recorded to be labelled, where, and how many."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.data.open import open_dataset
from targets.runtime.demo.board import Moment
from targets.runtime.demo.overlay import Overlay
from targets.runtime.demo.recording import RecordingError, UncertainFrames, folder_names
from targets.runtime.demo.recording_limits import RecordingLimits

CLASSES = ("Gurken", "Äpfel")
PICTURE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)


def moment(number: int, probability: float, name: str = "Äpfel", camera: int = 0) -> Moment:
    classes = [{"name": name, "probability": probability}]
    record = {"classes": classes, "frame": number, "time": time.time()}
    return Moment(number, Overlay(PICTURE ^ np.uint8(number)), record, camera)


def recorded(folder: Path, limits: RecordingLimits, moments: list[Moment]) -> str:
    """Tell moments one after the other; return what the recording says of itself at its end."""
    with UncertainFrames(folder, CLASSES, limits) as recording:
        for one in moments:
            recording.tell(one)
            while recording.is_behind:
                time.sleep(0.001)
    return recording.state


def test_uncertain_pictures_are_kept_as_they_came_below_their_likeliest_class(tmp_path: Path) -> None:
    moments = [moment(1, 0.59), moment(2, 0.6), moment(3, 0.3, "Gurken", camera=1)]
    assert recorded(tmp_path, RecordingLimits(0.6, 0.0), moments) == "2 to label"
    cucumber, apple = sorted((tmp_path / "to-label").rglob("*"), key=str)[1::2]
    assert [apple.parent.name, cucumber.parent.name] == ["Äpfel", "Gurken"]
    assert apple.name.endswith("-0-000001-59.png")
    assert cucumber.name.endswith("-1-000003-30.png")
    read = cv2.imdecode(np.fromfile(apple, np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    assert (read[:, :, ::-1] == PICTURE ^ 1).all()


def test_each_camera_gives_one_picture_in_a_while(tmp_path: Path) -> None:
    moments = [moment(1, 0.1), moment(2, 0.1), moment(3, 0.1, camera=1), moment(4, 0.1, camera=1)]
    assert recorded(tmp_path, RecordingLimits(0.6, 60.0), moments) == "2 to label"


@pytest.mark.parametrize(
    ("limits", "why"),
    [(RecordingLimits(0.6, 0.0, pictures=3), "3 pictures"), (RecordingLimits(0.6, 0.0, bytes=9000), "0 MiB")],
)
def test_it_stops_at_its_limit_and_says_so_and_counts_what_is_there_already(
    tmp_path: Path, limits: RecordingLimits, why: str, capfd: pytest.CaptureFixture[str]
) -> None:
    recorded(tmp_path, limits, [moment(1, 0.1)])
    state = recorded(tmp_path, limits, [moment(n, 0.1) for n in range(2, 9)])
    assert state == f"3 to label; recording stopped: the limit of {why} is reached"
    assert capfd.readouterr().err.count("recording stopped") == 1
    kept = list((tmp_path / "to-label").rglob("*.png"))
    assert len(kept) == 3
    assert sum(path.stat().st_size for path in kept) <= limits.bytes


def test_a_folder_that_goes_away_stops_the_recording_and_not_the_demo(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with UncertainFrames(tmp_path / "kept", CLASSES, RecordingLimits(0.6, 0.0)) as recording:
        (tmp_path / "kept").rename(tmp_path / "elsewhere")
        recording.tell(moment(1, 0.1))
    assert "recording stopped: No such file" in recording.state
    assert "recording stopped" in capfd.readouterr().err


def test_a_place_that_cannot_hold_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordingError, match="file cannot take pictures: Not a directory"):
        UncertainFrames(tmp_path / "file", CLASSES, RecordingLimits())


def test_what_was_labelled_is_a_training_folder_of_the_same_classes(tmp_path: Path) -> None:
    limits = RecordingLimits(0.6, 0.0)
    recorded(tmp_path, limits, [moment(n, 0.1, CLASSES[n % 2]) for n in range(1, 21)])
    for path in list((tmp_path / "to-label").rglob("*.png")):
        path.rename(tmp_path / "labelled" / path.parent.name / path.name)
    dataset = open_dataset(tmp_path / "labelled")
    assert tuple(dataset.classes) == CLASSES


def test_any_name_of_a_class_becomes_a_folder_of_its_own_below() -> None:
    names = folder_names(("a/b", "a_b", "..", ".hidden", "", "e\x1bf", "日本", "x" * 500))
    assert names == ["a_b", "class 1 a_b", "class 2", "class 3 hidden", "class 4", "e_f", "日本", "x" * 200]
