"""Readers of any speed get the newest picture; and cameras that come and go."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.demo import capture as capture_module
from targets.runtime.demo.capture import Capture
from targets.runtime.demo.sources.find import find_source
from targets.runtime.demo.sources.source import Ended, Picture, Source, SourceError

Pictures = Iterator[Picture | None]
PATIENCE = 300
"""Seconds after which something hangs, on the busiest machine."""


def numbered(number: int) -> Picture:
    return Picture(np.full((2, 2, 3), number, np.uint8), time.monotonic())


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_module, "RETRY_SECONDS", (0.01,))


def test_a_slow_reader_gets_the_newest_picture_and_the_others_are_dropped() -> None:
    shown = threading.Event()

    def pictures() -> Pictures:
        for number in range(1, 101):
            yield numbered(number)
        shown.set()
        time.sleep(60)

    with Capture(Source("film", pictures, live=True)) as capture:
        assert shown.wait(PATIENCE)
        frame = capture.newest(0, 1)
        assert frame is not None
        assert frame.number == frame.image[0, 0, 0] == 100
        assert capture.newest(frame.number, 0.01) is None
        assert capture.state.captured == 100


@pytest.mark.timeout(60)  # it would be waited for, for ever
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_in_a_source_is_said_and_does_not_end_the_thread_silently() -> None:
    def pictures() -> Pictures:
        yield numbered(1)
        raise ZeroDivisionError("a bug")

    with Capture(Source("film", pictures, live=True)) as capture:
        while capture.newest(1, PATIENCE) is not None:
            pass
        assert capture.state.status == "ended"
        assert "film is not read any more: ZeroDivisionError" in capture.state.text


def test_a_folder_that_goes_away_is_said(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((4, 4, 3), np.uint8))
    source = find_source(str(folder), loop=True, pace=False)
    with Capture(source) as capture:
        assert capture.newest(0, PATIENCE) is not None
        folder.rename(tmp_path / "elsewhere")  # at once: emptied first, it would be at its end
        number = 0
        while (frame := capture.newest(number, PATIENCE)) is not None:
            number = frame.number
        assert capture.state.status == "ended"
        assert "cannot be read: No such file" in capture.state.text


def test_no_picture_is_given_twice_and_none_out_of_order() -> None:
    def pictures() -> Pictures:
        for number in range(1, 200):
            yield numbered(number % 256)
            time.sleep(0.001)
        raise Ended("over")

    seen = []
    with Capture(Source("film", pictures, live=False)) as capture:
        number = 0
        while (frame := capture.newest(number, PATIENCE)) is not None:
            number = frame.number
            seen.append(number)
    assert seen == sorted(set(seen))
    assert capture.state.status == "ended"
    assert capture.state.text == "over"


def test_a_camera_that_was_unplugged_is_opened_again_until_it_is_there() -> None:
    openings: list[int] = []

    def pictures() -> Pictures:
        openings.append(len(openings))
        if 0 < len(openings) - 1 < 4:
            raise SourceError("there is no camera /dev/video0")
        yield numbered(len(openings))
        if len(openings) > 1:
            time.sleep(60)

    with Capture(Source("camera", pictures, live=True)) as capture:
        first = capture.newest(0, PATIENCE)
        assert first is not None
        second = capture.newest(first.number, PATIENCE)
        assert second is not None
        assert second.image[0, 0, 0] == 5
        assert capture.state.reconnects == 4
        assert capture.state.status == "running"


def test_a_lost_camera_is_called_lost_with_the_reason() -> None:
    def nothing() -> Pictures:
        raise SourceError("there is no camera /dev/video0")

    with Capture(Source("camera", nothing, live=True)) as capture:
        while capture.state.status != "lost":
            assert capture.newest(0, 0.01) is None
        assert "no camera" in capture.state.text


def test_damaged_pictures_are_counted_and_passed_over() -> None:
    def pictures() -> Pictures:
        yield from (None, numbered(1), None, None, numbered(2))
        raise Ended("over")

    with Capture(Source("camera", pictures, live=True)) as capture:
        assert capture.newest(0, PATIENCE) is not None
        while capture.state.status != "ended":
            time.sleep(0.01)
        assert (capture.state.captured, capture.state.damaged) == (2, 3)


def test_a_driver_that_hangs_does_not_keep_the_program() -> None:
    def pictures() -> Pictures:
        yield numbered(1)
        time.sleep(60)

    with Capture(Source("camera", pictures, live=True)) as capture:
        assert capture.newest(0, PATIENCE) is not None
    # leaving the block has not waited for the driver: the test ends
