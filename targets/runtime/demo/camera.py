"""./run camera: classify what a camera sees, and show it: on a page, in a window, as lines of JSON."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

from ..bundle.manifest import Manifest, ManifestError
from ..preprocess import Preprocessing
from .capture import Capture
from .frame_loop import WAIT_SECONDS, Loop
from .outputs import Lines, Windows
from .page import Page, PageError
from .recogniser import Engine, Recogniser
from .recording import UncertainFrames
from .recording_limits import RecordingLimits
from .sources.find import find_source
from .sources.source import SourceError, Wish

if TYPE_CHECKING:
    from types import FrameType

    from .board import Moment


@dataclass(frozen=True)
class Demo:
    """What to run: a manifest, and the engines by precision, the first one in use at first."""

    manifest: Manifest
    engines: Mapping[str, Engine]
    missing: Mapping[str, str]
    """Precisions without an engine, and the reason."""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run the demo with the unpacked bundle in `folder`. Returns the exit code."""
    options = parser("run camera").parse_args(arguments)
    try:
        manifest = Manifest.read(folder)
        manifest.check(folder)
    except ManifestError as error:
        return _fail(str(error))
    engines = {"int8": Engine(manifest.runner, folder / manifest.engine)}
    missing = {}
    if options.fp32:
        engines["fp32"] = Engine("reference_runner", options.fp32)
    else:
        missing["fp32"] = "give the float model with --fp32 model.onnx (it needs onnxruntime) to compare."
    return run(Demo(manifest, engines, missing), options)


def parser(program: str) -> argparse.ArgumentParser:
    """Return the options of the demo."""
    made = argparse.ArgumentParser(prog=program, description="Classify what a camera sees.")
    made.add_argument(
        "--source",
        action="append",
        help="0 or /dev/video0 (the default), csi, rtsp://..., a video file, a folder, gst:PIPELINE or"
        " pipe:COMMAND; repeat it for several cameras",
    )
    made.add_argument(
        "--size", type=_size, default=(1280, 720), metavar="WxH", help="the size to request from a camera"
    )
    made.add_argument("--fps", type=int, default=30, help="the same")
    made.add_argument("--once", action="store_true", help="stop at the end of a file instead of repeating it")
    made.add_argument("--unpaced", action="store_true", help="read files as fast as possible")
    made.add_argument(
        "--host", default="127.0.0.1", help="address to serve the page on; others than 127.0.0.1 need a token"
    )
    made.add_argument(
        "--port", type=int, default=8090, help="port of the page; 0 takes a free one (default: 8090)"
    )
    made.add_argument("--token", help="token for other hosts (default: a random one)")
    made.add_argument("--no-page", action="store_true")
    made.add_argument("--no-window", action="store_true", help="no window, even if there is a screen")
    made.add_argument("--json", action="store_true", help="print one JSON object per picture")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--top", type=int, default=3, help="how many classes to show (default: 3)")
    _add_recording(made)
    made.add_argument(
        "--fp32", type=Path, metavar="MODEL.onnx", help="the float model, to switch to and compare"
    )
    return made


def _add_recording(made: argparse.ArgumentParser) -> None:
    """Add the options of what is kept to be labelled."""
    limits = RecordingLimits()
    made.add_argument(
        "--record-uncertain",
        type=Path,
        metavar="FOLDER",
        help="keep pictures that the network is not sure of there, to label them and train again",
    )
    made.add_argument(
        "--uncertain-below",
        type=_probability,
        default=limits.below,
        metavar="P",
        help=f"of these the likeliest class has a smaller probability (default: {limits.below})",
    )
    made.add_argument(
        "--record-pictures",
        type=_positive,
        default=limits.pictures,
        metavar="N",
        help=f"how many may wait to be labelled (default: {limits.pictures})",
    )
    made.add_argument(
        "--record-mib",
        type=_positive,
        default=limits.bytes >> 20,
        metavar="N",
        help=f"how many MiB they may take (default: {limits.bytes >> 20})",
    )


def run(demo: Demo, options: argparse.Namespace) -> int:
    """Run until all sources end, a window is closed, or a signal comes. Returns the exit code.

    It is 1 if a source that ends by itself never gave a picture.
    """
    stop = threading.Event()
    if demo.manifest.pixels:
        return _fail("the demo shows classes of pictures; this network classifies pixels. ./run can do that.")
    with ExitStack() as opened:
        opened.enter_context(_stopping(stop))
        try:
            cameras = _opened_cameras(demo, options, opened, stop)
            if not options.no_page:
                boards = [camera.loop.board for camera in cameras]
                switch = cameras[0].recogniser.use
                page = Page(boards, switch, options.host, options.port, options.token)
                opened.enter_context(page.serving())
                print(f"page     {page.address}", file=sys.stderr, flush=True)
            if options.record_uncertain:
                _record(demo, options, opened, cameras)
        except (SourceError, PageError, ValueError) as error:
            return _fail(str(error))
        if options.json:
            _listen(cameras, opened.enter_context(Lines(stop)).tell)
        windows = None
        if not options.no_window and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            windows = opened.enter_context(Windows(stop))
            _listen(cameras, windows.tell)
        return _follow(cameras, windows, stop)


@dataclass(frozen=True)
class Camera:
    """One of the sources, and the loop that classifies its pictures."""

    loop: Loop
    capture: Capture
    recogniser: Recogniser


def _opened_cameras(
    demo: Demo, options: argparse.Namespace, opened: ExitStack, stop: threading.Event
) -> list[Camera]:
    width, height = options.size
    wish = Wish(width, height, options.fps)
    texts = options.source or ["0"]
    sources = [find_source(text, wish, not options.once, not options.unpaced) for text in texts]
    preprocessing = Preprocessing(**demo.manifest.preprocessing)
    recogniser = opened.enter_context(
        Recogniser(dict(demo.engines), demo.manifest.classes, preprocessing, options.threads, options.top)
    )
    return [
        Camera(
            Loop(demo.manifest, recogniser, number, source.name, stop, demo.missing),
            Capture(source),
            recogniser,
        )
        for number, source in enumerate(sources)
    ]


def _record(demo: Demo, options: argparse.Namespace, opened: ExitStack, cameras: Sequence[Camera]) -> None:
    limits = RecordingLimits(
        below=options.uncertain_below, pictures=options.record_pictures, bytes=options.record_mib << 20
    )
    recording = opened.enter_context(UncertainFrames(options.record_uncertain, demo.manifest.classes, limits))
    _listen(cameras, recording.tell)
    for camera in cameras:
        camera.loop.recorded = lambda: recording.state


def _listen(cameras: Sequence[Camera], tell: Callable[[Moment], None]) -> None:
    for camera in cameras:
        camera.loop.listeners.append(tell)


def _follow(cameras: Sequence[Camera], windows: Windows | None, stop: threading.Event) -> int:
    """Run all cameras, each in a thread, until all have ended. Returns the exit code."""
    faults: list[BaseException] = []

    def run_one(camera: Camera) -> None:
        try:
            with camera.capture:
                camera.loop.run(camera.capture)
        except BaseException as error:  # raised again below, in the main thread
            faults.append(error)
            stop.set()

    threads = [threading.Thread(target=run_one, args=(one,), name="classify", daemon=True) for one in cameras]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if windows:
            windows.show(WAIT_SECONDS)
        else:
            for thread in threads:
                thread.join(WAIT_SECONDS / len(threads))
    if faults:
        raise faults[0]
    states = [camera.capture.state for camera in cameras]
    return 1 if any(one.status == "ended" and not one.captured for one in states) else 0  # `_tell` said why


class _stopping:  # noqa: N801 - used like a function
    """Sets an event on Ctrl-C and SIGTERM; a second Ctrl-C ends the program at once."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._before: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self._before = {
                number: signal.signal(number, self._end) for number in (signal.SIGINT, signal.SIGTERM)
            }

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 1280x720")
    return int(width), int(height)


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not a probability above 0, up to 1")
    return value


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text) < 1 << 31:
        raise argparse.ArgumentTypeError(f"{text} is not an integer from 1 on")
    return int(text)


def _fail(reason: str) -> int:
    print(f"camera: {reason}", file=sys.stderr)
    return 1
