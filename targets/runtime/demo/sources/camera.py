"""Cameras and streams: V4L2, ribbon cable, network, GStreamer."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Iterator

# Seconds after which an unplugged camera is noticed; OpenCV's default is 10.
os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "3")

import cv2

from .opencv import read_frames
from .pipe import open_pipe
from .source import Picture, SourceError, Wish

TIMEOUT_MS = 5000  # of opening and reading a stream


def open_v4l2(text: str, wish: Wish) -> Iterator[Picture | None]:
    """Open a V4L2 camera by its number or file."""
    device = f"/dev/video{text}" if text.isdecimal() else text
    if not Path(device).exists():
        raise SourceError(f"there is no camera {device}")
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    capture.set(
        cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")
    )  # raw video saturates a USB bus at 10 fps
    for what, value in (("WIDTH", wish.width), ("HEIGHT", wish.height)):
        capture.set(getattr(cv2, f"CAP_PROP_FRAME_{what}"), value)
    capture.set(cv2.CAP_PROP_FPS, wish.fps)
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
    return read_frames(capture, device, "is it used by another program, and may you read it (group video)?")


def open_stream(url: str) -> Iterator[Picture | None]:
    """Open a network camera or stream."""
    # over UDP, parts of pictures get lost
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, limits)
    return read_frames(capture, without_password(url), "is it on, and are user and password right?")


def open_gstreamer(pipeline: str) -> Iterator[Picture | None]:
    """Run a GStreamer pipeline without a sink."""
    if "GStreamer:                   NO" in cv2.getBuildInformation():
        raise SourceError(
            "this OpenCV was built without GStreamer; give pipe:gst-launch-1.0 -q ... ! jpegenc ! fdsink"
        )
    sink = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    return read_frames(
        cv2.VideoCapture(f"{pipeline} ! {sink}", cv2.CAP_GSTREAMER), "the pipeline", "is it right?"
    )


def open_ribbon(number: int, wish: Wish) -> Iterator[Picture | None]:
    """Open a camera on a ribbon cable, with the board maker's program."""
    size = ["--width", str(wish.width), "--height", str(wish.height), "--framerate", str(wish.fps)]
    for program in ("rpicam-vid", "libcamera-vid"):
        if shutil.which(program):
            endless = ["--camera", str(number), "-t", "0", "-n", "--codec", "mjpeg", "-o", "-"]
            return open_pipe([program, *endless, *size])
    form = f"width={wish.width},height={wish.height},framerate={wish.fps}/1"
    if Path("/etc/nv_tegra_release").exists():
        begin = (
            f"nvarguscamerasrc sensor-id={number} ! video/x-raw(memory:NVMM),{form} ! nvvidconv ! video/x-raw"
        )
    else:
        begin = f"libcamerasrc ! video/x-raw,{form}"
    if "GStreamer:                   NO" not in cv2.getBuildInformation():
        return open_gstreamer(begin)
    if shutil.which("gst-launch-1.0") is None:
        raise SourceError(
            "a ribbon camera needs rpicam-vid (Raspberry Pi) or GStreamer (Jetson); neither is installed"
        )
    return open_pipe(["gst-launch-1.0", "-q", *shlex.split(begin), "!", "jpegenc", "!", "fdsink"])


def without_password(url: str) -> str:
    """Return an address without its password."""
    before, at, after = url.partition("@")
    return f"{before.partition('://')[0]}://...@{after}" if at else url
