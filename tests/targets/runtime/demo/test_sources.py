"""Films, folders and programs that write pictures; cameras that are not there."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from targets.runtime.demo.sources import files, opencv, pipe
from targets.runtime.demo.sources.find import find_source
from targets.runtime.demo.sources.source import Ended, Picture, SourceError
from targets.runtime.device_limits import JPEG_BYTES


def picture(level: int) -> NDArray[np.uint8]:
    """A picture of one colour: BGR, as OpenCV writes it."""
    return np.full((48, 64, 3), (level, 0, 255 - level), np.uint8)


def jpeg(level: int) -> bytes:
    return cv2.imencode(".jpg", picture(level))[1].tobytes()


def blue(shown: Picture | None) -> float | None:
    """The blue of an RGB picture."""
    return None if shown is None else round(float(shown.image[:, :, 2].mean()) / 10) * 10


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50, (64, 48))
    for level in (0, 100, 200):
        writer.write(picture(level))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "pictures"
    place.mkdir()
    for number, level in enumerate((0, 100, 200)):
        (place / f"{number}.jpg").write_bytes(jpeg(level))
    (place / "notes.txt").write_text("no picture")
    return place


@pytest.mark.parametrize("kind", ["film", "folder"])
def test_pictures_come_in_order_as_rgb_and_then_it_ends(kind: str, request: pytest.FixtureRequest) -> None:
    source = find_source(str(request.getfixturevalue(kind)), loop=False, pace=False)
    frames = source.open()
    assert [blue(next(frames)) for _ in range(3)] == [0, 100, 200]
    with pytest.raises(Ended):
        next(frames)
    assert not source.live


@pytest.mark.parametrize("kind", ["film", "folder"])
def test_files_begin_again(kind: str, request: pytest.FixtureRequest) -> None:
    frames = find_source(str(request.getfixturevalue(kind)), pace=False).open()
    assert [blue(frame) for frame in itertools.islice(frames, 7)] == [0, 100, 200, 0, 100, 200, 0]


def test_a_film_is_as_slow_as_it_should_be(film: Path) -> None:
    frames = find_source(str(film)).open()
    start = time.monotonic()
    for _ in range(11):
        next(frames)
    assert time.monotonic() - start >= 10 / 50


class DecoderDouble:
    """A camera or film behind OpenCV, by a clock of its own: waiting takes 30 ms, decoding 5 ms."""

    def __init__(self, decoded_while_taken: bool) -> None:
        self.now = 100.0
        self._taking, self._decoding = (0.005, 0.0) if decoded_while_taken else (0.030, 0.005)

    def monotonic(self) -> float:
        return self.now

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return True

    def grab(self) -> bool:
        self.now += self._taking
        return True

    def retrieve(self) -> tuple[bool, NDArray[np.uint8]]:
        self.now += self._decoding
        return True, picture(0)

    def release(self) -> None:
        pass


@pytest.mark.parametrize("stored", [True, False])
def test_a_picture_is_as_old_as_its_decoding_whatever_it_was_waited_for(
    stored: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A film is decoded while it is taken; a camera is waited for, and decodes afterwards."""
    recorder = DecoderDouble(decoded_while_taken=stored)
    monkeypatch.setattr(opencv, "time", recorder)
    for shown in itertools.islice(opencv.read_frames(recorder, "film", "", stored=stored), 3):
        assert shown is not None
        assert recorder.now - shown.arrived == pytest.approx(0.005)


class ClockOfSleeps:
    """Time goes on only while something sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_picture_that_waits_for_its_turn_is_not_decoded_meanwhile(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the picture would be a second old when it is classified."""
    clock = ClockOfSleeps()
    monkeypatch.setattr(files, "time", clock)
    for shown in itertools.islice(find_source(str(folder)).open(), 5):
        assert shown is not None
        assert shown.arrived == clock.now
    assert clock.now == 104.0


def test_a_damaged_picture_of_a_folder_is_told_and_passed_over(folder: Path) -> None:
    (folder / "1.jpg").write_bytes(jpeg(100)[:-20])
    frames = find_source(str(folder), pace=False).open()
    assert [blue(frame) for frame in itertools.islice(frames, 3)] == [0, None, 200]


def test_a_program_may_write_the_pictures(folder: Path) -> None:
    source = find_source(f"pipe:cat {folder}/0.jpg {folder}/1.jpg {folder}/2.jpg")
    assert source.live
    assert [blue(frame) for frame in source.open()] == [0, 100, 200]


def test_a_program_that_writes_rubbish_gives_damaged_pictures_and_then_good_ones(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, 5000, np.uint8).tobytes() + b"\xff\xd9"
    (tmp_path / "stream").write_bytes(noise + jpeg(100)[:200] + b"\xff\xd9" + jpeg(200))
    frames = [blue(frame) for frame in find_source(f"pipe:cat {tmp_path}/stream").open()]
    assert frames[-1] == 200
    assert set(frames[:-1]) == {None}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=30))
def test_pictures_are_found_however_the_stream_is_cut(sizes: list[int]) -> None:
    whole = [jpeg(level) for level in (0, 100, 200)]
    stream, found, waiting = b"".join(whole), [], b""
    for size in itertools.cycle(sizes):
        chunk, stream = stream[:size], stream[size:]
        *parts, waiting = pipe.split_pictures(waiting + chunk)
        found += parts
        if not stream:
            break
    assert found == whole
    assert waiting == b""


def test_what_never_ends_is_not_kept() -> None:
    *parts, waiting = pipe.split_pictures(bytes(JPEG_BYTES + 1))
    assert len(parts) == 1
    assert waiting == b""


def test_a_program_ends_when_nobody_looks_any_more(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg(0))
    script = tmp_path / "camera"
    script.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nwhile true; do cat {tmp_path}/one.jpg; done\n")
    script.chmod(0o755)
    frames = find_source(f"pipe:{script}").open()
    assert next(frames) is not None
    pid = (tmp_path / "pid").read_text().strip()
    frames.close()  # type: ignore[attr-defined]  # a generator
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nothing", "is not a camera, stream, file or folder"),
        ("", "is not a camera"),
        ("csi:x", "is not a camera"),
        ("gst:", "is not a camera"),
    ],
)
def test_an_unknown_source_is_refused(text: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=reason):
        find_source(str(tmp_path / text) if text == "nothing" else text)


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        find_source(str(tmp_path))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: "77", "no camera /dev/video77"),
        (lambda _: "pipe:/nowhere/camera", "cannot be started"),
        (lambda folder: str(folder / "notes.txt"), "not a video"),
        (lambda _: "rtsp://me:secret@127.0.0.1:9/live", r"rtsp://\.\.\.@127.0.0.1:9/live cannot be opened"),
    ],
)
def test_what_cannot_be_opened_says_so(folder: Path, make: Callable[[Path], str], reason: str) -> None:
    with pytest.raises(SourceError, match=reason) as error:
        list(find_source(make(folder)).open())
    assert "secret" not in str(error.value)


def test_a_ribbon_camera_is_read_by_its_makers_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg(100))
    program = tmp_path / "rpicam-vid"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\ncat {tmp_path}/one.jpg\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [blue(frame) for frame in find_source("csi:1").open()] == [100]
    arguments = (tmp_path / "arguments").read_text()
    assert "--camera 1" in arguments
    assert "--codec mjpeg -o -" in arguments
    assert "--width 1280 --height 720" in arguments
