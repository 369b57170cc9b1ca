"""Where pictures come from: cameras, streams, video files, folders. Each gives frames until it fails or ends.

0, /dev/video0              a camera of the kernel (V4L2)
csi, csi:1                  a ribbon camera: rpicam-vid on a Raspberry Pi, nvarguscamerasrc on a Jetson
rtsp://..., http://...      a camera or stream of the network
gst:PIPELINE                a GStreamer pipeline, without its appsink; OpenCV must be built with GStreamer
pipe:COMMAND                a program that writes JPEG pictures to its output, one after the other
film.mp4                    a video file, at its own speed
folder/                     its pictures in the order of their names
"""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator

# A camera that was unplugged is found out after this many seconds; OpenCV's own limit is 10.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")

import cv2
import numpy as np

from ..preprocess import ImageError, decode

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://")
TIMEOUT_MS = 5000  # of opening and reading a stream
CHUNK = 1 << 16
MAX_JPEG = 32 << 20  # bytes of one picture from a pipe; what is longer is no JPEG


class SourceError(Exception):
    """A source that cannot be used. The text says what was found, and what to do."""


class Ended(Exception):
    """There are no more pictures, and there will be none."""


@dataclass(frozen=True)
class Wish:
    """What a camera is asked for; it may give something else."""

    width: int = 1280
    height: int = 720
    fps: int = 30


@dataclass(frozen=True)
class Source:
    """How to open a source, and whether it is worth opening again after it failed.

    `open` returns an iterator of pictures uint8 [H, W, 3] RGB, None where one was damaged. It raises
    SourceError if the source cannot be opened; that it stops means it was lost, Ended that there are none.
    """

    name: str
    open: Callable[[], Iterator[Image | None]]
    live: bool


def find_source(text: str, wish: Wish = Wish(), loop: bool = True, pace: bool = True) -> Source:
    """Return the source that `text` names; see the beginning of this file.

    Files begin again at their end if `loop`, and are as slow as they should be if `pace`; a folder shows a
    picture a second. Raises SourceError for what is nothing of all that.
    """
    found = _camera(text, wish) or (_file(Path(text), loop, pace) if text else None)
    if found:
        return found
    raise SourceError(
        f"{text} is no camera, stream, file or folder. Expected: 0 or /dev/video0, csi, rtsp://..., a video"
        " file, or a folder of pictures"
    )


def _camera(text: str, wish: Wish) -> Source | None:
    kind, _, rest = text.partition(":")
    if text.isdecimal() or text.startswith("/dev/video"):
        return Source(text, lambda: _v4l2(text, wish), live=True)
    if kind == "csi" and (rest.isdecimal() or not rest):
        return Source(text, lambda: _ribbon(int(rest or 0), wish), live=True)
    if kind == "gst" and rest:
        return Source(text, lambda: _gstreamer(rest), live=True)
    if kind == "pipe" and rest:
        return Source(text, lambda: _jpegs_of(shlex.split(rest)), live=True)
    if text.startswith(STREAMS):
        return Source(_without_password(text), lambda: _stream(text), live=True)
    return None


def _file(path: Path, loop: bool, pace: bool) -> Source | None:
    if path.is_dir():
        if not _pictures(path):
            raise SourceError(f"{path} holds no pictures ({', '.join(sorted(PICTURES))})")
        return Source(str(path), lambda: _folder(path, loop, pace), live=False)
    return Source(str(path), lambda: _film(path, loop, pace), live=False) if path.is_file() else None


def _v4l2(text: str, wish: Wish) -> Iterator[Image | None]:
    device = f"/dev/video{text}" if text.isdecimal() else text
    if not Path(device).exists():
        raise SourceError(f"there is no camera {device}")
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))  # raw video fills a USB bus at 10 fps
    for what, value in (("WIDTH", wish.width), ("HEIGHT", wish.height)):
        capture.set(getattr(cv2, f"CAP_PROP_FRAME_{what}"), value)
    capture.set(cv2.CAP_PROP_FPS, wish.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return _frames(capture, device, "is it used by another program, and may you read it (group video)?")


def _stream(url: str) -> Iterator[Image | None]:
    os.environ.setdefault(
        "OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp"
    )  # UDP loses parts of pictures
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    return _frames(capture, _without_password(url), "is it on, and are user and password right?")


def _gstreamer(pipeline: str) -> Iterator[Image | None]:
    if "GStreamer:                   NO" in cv2.getBuildInformation():
        raise SourceError(
            "this OpenCV was built without GStreamer; give pipe:gst-launch-1.0 ... ! jpegenc ! fdsink"
        )
    sink = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    return _frames(
        cv2.VideoCapture(f"{pipeline} ! {sink}", cv2.CAP_GSTREAMER), "the pipeline", "is it right?"
    )


def _ribbon(number: int, wish: Wish) -> Iterator[Image | None]:
    """Open a camera on a ribbon cable, by the program that the board's maker has for it."""
    size = ["--width", str(wish.width), "--height", str(wish.height), "--framerate", str(wish.fps)]
    for program in ("rpicam-vid", "libcamera-vid"):
        if shutil.which(program):
            endless = ["--camera", str(number), "-t", "0", "-n", "--codec", "mjpeg", "-o", "-"]
            return _jpegs_of([program, *endless, *size])
    form = f"width={wish.width},height={wish.height},framerate={wish.fps}/1"
    if Path("/etc/nv_tegra_release").exists():
        begin = (
            f"nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM),{form} ! nvvidconv ! video/x-raw"
        )
    else:
        begin = f"libcamerasrc ! video/x-raw,{form}"
    if "GStreamer:                   NO" not in cv2.getBuildInformation():
        return _gstreamer(begin)
    if shutil.which("gst-launch-1.0") is None:
        raise SourceError(
            "a ribbon camera needs rpicam-vid (Raspberry Pi) or GStreamer (Jetson); neither is installed"
        )
    return _jpegs_of(["gst-launch-1.0", "-q", *shlex.split(begin), "!", "jpegenc", "!", "fdsink"])


def _frames(capture: Any, name: str, advice: str) -> Iterator[Image | None]:
    """Read until nothing comes any more."""
    if not capture.isOpened():
        raise SourceError(f"{name} cannot be opened: {advice}")

    def frames() -> Iterator[Image | None]:
        try:
            while True:
                try:
                    read, frame = capture.read()
                except cv2.error:
                    read, frame = True, None
                if not read:
                    return
                yield _rgb(frame)
        finally:
            capture.release()

    return frames()


def _rgb(frame: NDArray[np.uint8] | None) -> Image | None:
    """Return OpenCV's BGR or gray picture as RGB; None if it is no picture."""
    if frame is None or frame.size == 0 or frame.dtype != np.uint8 or frame.ndim not in (2, 3):
        return None
    code = cv2.COLOR_GRAY2RGB if frame.ndim == 2 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(frame, code), np.uint8)


def _jpegs_of(command: list[str]) -> Iterator[Image | None]:
    """Start a program and read JPEG pictures from its output."""
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be started: {error.strerror}") from error

    def end() -> None:
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # one that the kernel cannot end is left to it
            child.wait(1.0)

    atexit.register(end)  # also if the thread that reads is stuck, and never comes to the end below

    def frames() -> Iterator[Image | None]:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        waiting = b""
        try:
            while True:
                chunk = os.read(child.stdout.fileno(), CHUNK)
                if not chunk:
                    return
                waiting += chunk
                *whole, waiting = _split(waiting)
                for jpeg in whole:
                    yield _decoded(jpeg)
        finally:
            end()
            child.stdout.close()
            atexit.unregister(end)

    return frames()


def _split(data: bytes) -> list[bytes]:
    """Cut a stream of JPEG pictures behind each end marker; the last part is what is not yet complete.

    Within the compressed part FF is always followed by 00 or a restart marker (ITU-T T.81, B.1.1.5), so FF D9
    is the end; thumbnails inside, which have one of their own, no camera writes into a video.
    """
    parts = data.split(b"\xff\xd9")
    if len(parts) == 1 and len(data) > MAX_JPEG:
        return [data, b""]  # nothing a picture could be: handed on as a damaged one
    return [*(part + b"\xff\xd9" for part in parts[:-1]), parts[-1]]


def _decoded(jpeg: bytes) -> Image | None:
    start = jpeg.find(b"\xff\xd8")
    try:
        return decode(jpeg[start:], 3) if start >= 0 else None
    except ImageError:
        return None


def _film(path: Path, loop: bool, pace: bool) -> Iterator[Image | None]:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SourceError(f"{path} is no video that OpenCV can read")
    fps = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    seconds = 1 / fps if pace and 0 < fps <= 1000 else 0.0

    def frames() -> Iterator[Image | None]:
        while True:
            count = 0
            for frame in _paced(_frames(cv2.VideoCapture(str(path)), str(path), ""), seconds):
                count += 1
                yield frame
            if not loop or not count:
                raise Ended(f"{path} is at its end")

    return frames()


def _folder(path: Path, loop: bool, pace: bool) -> Iterator[Image | None]:
    def frames() -> Iterator[Image | None]:
        while True:
            for picture in _paced(iter(_pictures(path)), 1.0 if pace else 0.0):
                yield _picture(picture)
            if not loop or not _pictures(path):
                raise Ended(f"{path} is at its end")

    return frames()


def _picture(path: Path) -> Image | None:
    try:
        return decode(path.read_bytes(), 3)
    except (OSError, ImageError):
        return None


def _pictures(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _paced(items: Iterator[Any], seconds: float) -> Iterator[Any]:
    """Give an item every so many seconds; one that is late does not make the others hurry."""
    due = time.monotonic()
    for item in items:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due + seconds, time.monotonic())
        yield item
    time.sleep(max(0.0, due - time.monotonic()))


def _without_password(url: str) -> str:
    before, at, after = url.partition("@")
    return f"{before.partition('://')[0]}://...@{after}" if at else url
