"""Finds sources of pictures: cameras, streams, video files, folders.

0, /dev/video0              a camera of the kernel (V4L2)
csi, csi:1                  a ribbon camera: rpicam-vid on a Raspberry Pi, nvarguscamerasrc on a Jetson
rtsp://..., http://...      a camera or stream of the network
gst:PIPELINE                a GStreamer pipeline, without its appsink; OpenCV must be built with GStreamer
pipe:COMMAND                a program that writes JPEG pictures to its output, one after the other
film.mp4                    a video file, at its own speed
folder/                     its pictures in the order of their names
"""

from __future__ import annotations

import shlex
from pathlib import Path

from . import camera, files
from .pipe import open_pipe
from .source import Source, SourceError, Wish

ANY = Wish()
STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "udp://", "tcp://")


def find_source(text: str, wish: Wish = ANY, loop: bool = True, pace: bool = True) -> Source:
    """Return the source that `text` names, as listed at the top of this file.

    Files repeat if `loop`, and play at their own speed if `pace`; a folder shows a picture per second. Raises
    SourceError for any other text.
    """
    found = _camera(text, wish) or (_file(Path(text), loop, pace) if text else None)
    if found:
        return found
    raise SourceError(
        f"{text} is not a camera, stream, file or folder. Expected: 0 or /dev/video0, csi, rtsp://..., a"
        " video file, or a folder of pictures"
    )


def _camera(text: str, wish: Wish) -> Source | None:
    kind, _, rest = text.partition(":")
    if text.isdecimal() or text.startswith("/dev/video"):
        return Source(text, lambda: camera.open_v4l2(text, wish), live=True)
    if kind == "csi" and (rest.isdecimal() or not rest):
        return Source(text, lambda: camera.open_ribbon(int(rest or 0), wish), live=True)
    if kind == "gst" and rest:
        return Source(text, lambda: camera.open_gstreamer(rest), live=True)
    if kind == "pipe" and rest:
        return Source(text, lambda: open_pipe(shlex.split(rest)), live=True)
    if text.startswith(STREAMS):
        return Source(camera.without_password(text), lambda: camera.open_stream(text), live=True)
    return None


def _file(path: Path, loop: bool, pace: bool) -> Source | None:
    if path.is_dir():
        if not files.pictures_in(path):
            raise SourceError(f"{path} holds no pictures ({', '.join(sorted(files.PICTURES))})")
        return Source(str(path), lambda: files.open_folder(path, loop, pace), live=False)
    if path.is_file():
        return Source(str(path), lambda: files.open_film(path, loop, pace), live=False)
    return None
