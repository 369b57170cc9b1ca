"""Programs that write JPEG pictures to their output, one after the other."""

from __future__ import annotations

import atexit
import os
import subprocess
import time
from contextlib import suppress
from typing import Iterator

from ...device_limits import JPEG_BYTES
from ...preprocess import ImageError, decode
from .source import Picture, SourceError

CHUNK = 1 << 16


def open_pipe(command: list[str]) -> Iterator[Picture | None]:
    """Start a program and read JPEG pictures from its output."""
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True
        )
    except OSError as error:
        raise SourceError(f"{command[0]} cannot be started: {error.strerror}") from error

    def end() -> None:
        child.kill()
        with suppress(subprocess.TimeoutExpired):  # a process that cannot be killed is abandoned
            child.wait(1.0)

    atexit.register(end)  # also if the reading thread is stuck and never reaches the end below

    def frames() -> Iterator[Picture | None]:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        waiting = b""
        try:
            while True:
                chunk = os.read(child.stdout.fileno(), CHUNK)
                if not chunk:
                    return
                waiting += chunk
                *whole, waiting = split_pictures(waiting)
                for jpeg in whole:
                    yield _decoded(jpeg)
        finally:
            end()
            child.stdout.close()
            atexit.unregister(end)

    return frames()


def split_pictures(data: bytes) -> list[bytes]:
    """Cut a stream of JPEG pictures behind each end marker; the last part is what is not yet complete.

    Within the compressed part FF is always followed by 00 or a restart marker (ITU-T T.81, B.1.1.5), so FF D9
    is the end; thumbnails inside, which have one of their own, no camera writes into a video.
    """
    parts = data.split(b"\xff\xd9")
    if len(parts) == 1 and len(data) > JPEG_BYTES:
        return [data, b""]  # not a picture: passed on as a damaged one
    return [*(part + b"\xff\xd9" for part in parts[:-1]), parts[-1]]


def _decoded(jpeg: bytes) -> Picture | None:
    arrived = time.monotonic()
    start = jpeg.find(b"\xff\xd8")
    try:
        return Picture(decode(jpeg[start:], 3), arrived) if start >= 0 else None
    except ImageError:
        return None
