"""./run camera: classify what a camera sees, and show it: on a page, in a window, as lines of JSON."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Mapping, Sequence

import numpy as np

from ..bundle.manifest import Manifest, ManifestError
from ..classify import NoAnswer
from ..machine import read_state
from ..preprocess import Preprocessing
from .board import Board, Moment
from .capture import Capture, CaptureState, Frame
from .outputs import Lines, Window
from .overlay import Overlay
from .page import Page, PageError
from .recogniser import Engine, Recogniser, Recognition
from .sources.find import find_source
from .sources.source import SourceError, Wish

if TYPE_CHECKING:
    from types import FrameType

WAIT_SECONDS = 0.5
"""The page gets the state of the source after so long without a new picture."""
STATE_SECONDS = 2.0
RATE_SECONDS = 3.0  # the interval over which pictures per second are counted


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
        default="0",
        help="0 or /dev/video0, csi, rtsp://..., a video file, a folder, gst:PIPELINE or pipe:COMMAND",
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
    made.add_argument(
        "--fp32", type=Path, metavar="MODEL.onnx", help="the float model, to switch to and compare"
    )
    return made


def run(demo: Demo, options: argparse.Namespace) -> int:
    """Run until the source ends, the window is closed, or a signal comes. Returns the exit code.

    It is 1 if a source that ends by itself never gave a picture.
    """
    stop = threading.Event()
    if demo.manifest.pixels:
        return _fail("the demo shows classes of pictures; this network classifies pixels. ./run can do that.")
    with ExitStack() as opened:
        opened.enter_context(_stopping(stop))
        try:
            width, height = options.size
            wish = Wish(width, height, options.fps)
            source = find_source(options.source, wish, not options.once, not options.unpaced)
            recogniser = opened.enter_context(
                Recogniser(
                    dict(demo.engines),
                    demo.manifest.classes,
                    Preprocessing(**demo.manifest.preprocessing),
                    options.threads,
                    options.top,
                )
            )
            loop = Loop(demo, recogniser, source.name, stop)
            if not options.no_page:
                page = Page(loop.board, recogniser.use, options.host, options.port, options.token)
                opened.enter_context(page.serving())
                print(f"page     {page.address}", file=sys.stderr, flush=True)
        except (SourceError, PageError, ValueError) as error:
            return _fail(str(error))
        if options.json:
            loop.listeners.append(opened.enter_context(Lines(stop)))
        if not options.no_window and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            loop.listeners.append(opened.enter_context(Window(stop)))
        with Capture(source) as capture:
            loop.run(capture)
            state = capture.state
    return 1 if state.status == "ended" and not state.captured else 0  # `_tell` has printed why


QUIET_SECONDS = 2.0
"""A source that gives no picture for so long no longer counts as running."""


class Loop:
    """Repeats: takes the newest picture, classifies it, and passes the result to all outputs."""

    def __init__(self, demo: Demo, recogniser: Recogniser, source: str, stop: threading.Event) -> None:
        self.board = Board()
        self.listeners: list[Any] = []
        self._demo = demo
        self._recogniser = recogniser
        self._source = source
        self._stop = stop
        self._done = 0
        self._finished: deque[float] = deque(maxlen=1000)
        self._device: dict[str, Any] = {}
        self._looked = float("-inf")
        self._printed = ""
        self._arrived = time.monotonic()

    def run(self, capture: Capture) -> None:
        """Run until told to stop, or until the source ends."""
        last = np.zeros((360, 640, 3), np.uint8)
        shown = Overlay(last)
        number = seen = 0
        while not self._stop.is_set():
            frame = capture.newest(seen, WAIT_SECONDS)
            state = self._judged(capture.state, frame)
            self._tell(state)
            number += 1
            if frame is None:
                fine = state.status == "running" and seen  # a slow source
                now = shown if fine else Overlay(last, lines=[state.status, state.text])
                self.board.post(Moment(number, now, self._record(state)))
                if state.status == "ended":
                    return
                continue
            seen, last = frame.number, frame.image
            try:
                found = self._recogniser(frame.image)
            except NoAnswer as error:
                unclear = replace(state, status="no answer", text=str(error))
                shown = Overlay(frame.image, lines=[unclear.text])
                self.board.post(Moment(number, shown, self._record(unclear)))
                continue
            self._done += 1
            self._finished.append(time.monotonic())
            record = {**self._record(state), **self._findings(frame, found)}
            whole, fps = record["end_to_end_ms"], record["fps"]
            lines = [
                f"{found.precision.upper()}  model {found.model_ms:.2f} ms  end to end {whole:.1f} ms"
                f"  {fps:.1f} fps"
            ]
            shown = Overlay(frame.image, found.classes, lines)
            moment = Moment(number, shown, record)
            self.board.post(moment)
            for listener in self.listeners:
                listener.tell(moment)

    def _judged(self, state: CaptureState, frame: Frame | None) -> CaptureState:
        """Return the state of the source, marking one that hangs, which its thread cannot report."""
        if frame is not None:
            self._arrived = frame.arrived
        quiet = time.monotonic() - self._arrived
        if state.status != "running" or quiet < QUIET_SECONDS:
            return state
        return replace(state, status="waiting", text=f"no picture for {quiet:.0f} s")

    def _findings(self, frame: Frame, found: Recognition) -> dict[str, Any]:
        return {
            "fresh": True,
            "frame": frame.number,
            "time": time.time(),
            "precision": found.precision,
            "classes": [{"name": name, "probability": round(p, 6)} for name, p in found.classes],
            "decode_ms": frame.decode_ms,
            "preprocess_ms": found.preprocess_ms,
            "model_ms": found.model_ms,
            "end_to_end_ms": 1e3 * (time.monotonic() - frame.arrived),
        }

    def _record(self, state: CaptureState) -> dict[str, Any]:
        """Pass on the state of the source, with or without a new picture."""
        now = time.monotonic()
        if now - self._looked > STATE_SECONDS:
            self._looked, self._device = now, _device()
        recent = sum(1 for moment in self._finished if now - moment < RATE_SECONDS)
        reasons = {**self._demo.missing, **self._recogniser.unavailable}
        return {
            "fresh": False,
            "model": self._demo.manifest.model,
            "target": self._demo.manifest.target,
            "source": self._source,
            "status": state.status,
            "text": state.text,
            "captured": state.captured,
            "dropped": max(0, state.captured - self._done),
            "damaged": state.damaged,
            "reconnects": state.reconnects,
            "fps": recent / RATE_SECONDS,
            "precision": self._recogniser.precision,
            "precisions": {**dict.fromkeys(self._recogniser.precisions), **reasons},
            "classes": [],
            "device": self._device,
        }

    def _tell(self, state: CaptureState) -> None:
        """Print to the terminal when the source is lost or found again."""
        line = f"{state.status}  {state.text}"
        if line != self._printed:
            self._printed = line
            print(line, file=sys.stderr, flush=True)


def _device() -> dict[str, Any]:
    """Return the state of this machine as text; None for what it does not report."""
    state = read_state()
    clocks = state.frequencies_mhz
    return {
        "temperature": None if state.temperature_c is None else f"{state.temperature_c:.0f} °C",
        "frequency": f"{max(clocks):.0f} MHz" if clocks else None,
        "governor": ", ".join(state.governors) or None,
        "throttled": None if state.throttle_events is None else f"{state.throttle_events} times since boot",
        "load": None if state.load_average is None else f"{state.load_average:.1f} on {state.cores} cores",
    }


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


def _fail(reason: str) -> int:
    print(f"camera: {reason}", file=sys.stderr)
    return 1
