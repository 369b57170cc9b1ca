"""One camera's pictures: the newest is classified, and the result passed to all outputs."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Mapping

import numpy as np

from ..classify import NoAnswer
from ..machine import read_state
from .board import Board, Moment
from .overlay import Overlay

if TYPE_CHECKING:
    import threading

    from ..bundle.manifest import Manifest
    from .capture import Capture, CaptureState, Frame
    from .recogniser import Recogniser, Recognition

WAIT_SECONDS = 0.5
"""The page gets the state of the source after so long without a new picture."""
STATE_SECONDS = 2.0
RATE_SECONDS = 3.0  # the interval over which pictures per second are counted

QUIET_SECONDS = 2.0
"""A source that gives no picture for so long no longer counts as running."""


class Loop:
    """Repeats: takes the newest picture, classifies it, and passes the result to all outputs.

    missing: precisions without an engine, and the reason. recorded: what the recording says of itself.
    """

    def __init__(
        self,
        manifest: Manifest,
        recogniser: Recogniser,
        camera: int,
        source: str,
        stop: threading.Event,
        missing: Mapping[str, str],
    ) -> None:
        self.board = Board()
        self.listeners: list[Callable[[Moment], None]] = []
        self.recorded: Callable[[], str] | None = None
        self._manifest = manifest
        self._missing = missing
        self._recogniser = recogniser
        self._classify = recogniser.for_camera()
        self._camera = camera
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
                self._post(number, now, self._record(state))
                if state.status == "ended":
                    return
                continue
            seen, last = frame.number, frame.image
            try:
                found = self._classify(frame.image)
            except NoAnswer as error:
                unclear = replace(state, status="no answer", text=str(error))
                shown = Overlay(frame.image, lines=[unclear.text])
                self._post(number, shown, self._record(unclear))
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
            moment = self._post(number, shown, record)
            for tell in self.listeners:
                tell(moment)

    def _post(self, number: int, shown: Overlay, record: dict[str, Any]) -> Moment:
        moment = Moment(number, shown, record, self._camera)
        self.board.post(moment)
        return moment

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
        reasons = {**self._missing, **self._recogniser.unavailable}
        return {
            "fresh": False,
            "camera": self._camera,
            "model": self._manifest.model,
            "target": self._manifest.target,
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
            "recorded": self.recorded() if self.recorded else None,
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
