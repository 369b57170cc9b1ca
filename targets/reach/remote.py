"""Runs an engine on a board over SSH: its static program gives the logits, Python measures the time."""

import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.errors import ConnectionCut, DeviceAnswerError, DeviceThrottled, DeviceTimeout, EngineError
from targets.reach.answer_limits import STREAM_SECONDS
from targets.reach.answers import measurements, sensible
from targets.reach.leased_board import note_selftest, run_alone
from targets.reach.sent_files import sent
from targets.reach.ssh import SshDevice
from targets.reach.streams import limited
from targets.reach.zip_program import program
from targets.runtime.machine import throttling
from targets.runtime.measure import Measurement, Settings
from targets.runtime.native_runner import read_engine

AT_ONCE = 16
"""Images in transit at a time: few enough for the pipes, many enough to hide the network's latency."""
TRIES, COOLING_SECONDS = 3, 30.0


def start_remote(device: SshDevice, engine: Path, threads: int) -> "StreamRunner":
    """Send an engine and run it there, after its self-test passed. Raises EngineError or a DeviceError."""
    remote = sent(device, engine)
    tested = device.run([f"./{remote}", "selftest"], timeout_s=600)
    note_selftest(device, engine.name, passed=tested.returncode == 0)
    if tested.returncode:
        output = (tested.stdout + tested.stderr).strip()[-500:]
        raise EngineError(
            f"{device.address}: the engine's self-test failed there: {output or tested.returncode}"
        )
    metadata, _ = read_engine(engine)
    command = [f"./{remote}", "logits", "--threads", str(threads)]
    return StreamRunner(device, command, tuple(metadata["image"]), int(metadata["classes"]))


@dataclass
class StreamRunner:
    """A running program on the device: pixels go to its stdin, logits come from its stdout."""

    device: SshDevice
    command: Sequence[str]
    image: tuple[int, ...]
    classes: int
    _child: "subprocess.Popen[bytes] | None" = None

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for images [N, H, W, C]. A lost connection is restored, a few times."""
        if images.dtype != np.uint8 or images.shape[1:] != self.image:
            raise EngineError(
                f"The images are {images.dtype} {images.shape}; the engine needs uint8 [N, {self.image}]."
            )
        parts = [self._tried(images[start : start + AT_ONCE]) for start in range(0, len(images), AT_ONCE)]
        return np.concatenate(parts) if parts else np.empty((0, self.classes), np.float32)

    def _tried(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        for again in range(TRIES):
            try:
                return self._once(images)
            except ConnectionCut:
                self.close()
                if again == TRIES - 1:
                    raise
                time.sleep(2**again)
        raise AssertionError

    def _once(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._child is None:
            self._child = self.device.start(self.command)
        child = self._child
        assert child.stdin is not None and child.stdout is not None  # noqa: S101, PT018 - both are pipes
        wanted = 4 * self.classes * len(images)
        with limited(child, STREAM_SECONDS) as expired:
            try:
                self._refuse_more(child.stdout.fileno())
                child.stdin.write(np.ascontiguousarray(images).tobytes())
                child.stdin.flush()
                output = _read(child.stdout.fileno(), wanted)
            except BrokenPipeError:
                output = b""
        if expired.is_set():
            self.close()
            raise DeviceTimeout(
                f"{self.device.address}: {len(images)} images have no answer after {STREAM_SECONDS:,} s."
                " Is the board stopped or overloaded?"
            )
        if len(output) < wanted:
            self._child = None
            raise self.device.why_ended(child)
        self._refuse_more(child.stdout.fileno())
        return np.frombuffer(output, "<f4").reshape(len(images), self.classes).astype(np.float32)

    def _refuse_more(self, output: int) -> None:
        """Raise DeviceAnswerError for output beyond the answer: all later answers would be shifted."""
        if select.select([output], [], [], 0)[0] and os.read(output, 1):
            self.close()
            raise DeviceAnswerError(
                f"{self.device.address}: the program printed more than the logits of its images;"
                " another program may print there"
            )

    def close(self) -> None:
        """End the program."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _read(output: int, wanted: int) -> bytes:
    """Return `wanted` bytes, or fewer at the end. None stays in a buffer, where `select` does not see it."""
    found = bytearray()
    while len(found) < wanted and (part := os.read(output, wanted - len(found))):
        found += part
    return bytes(found)


def measure_remote(
    device: SshDevice, engine: Path, images: NDArray[np.uint8], settings: Settings, threads: int
) -> Measurement:
    """Time the engine on images [M, H, W, C] on the device, with the same code as on this machine.

    If the device throttles, it gets time to cool and is measured again. Raises DeviceThrottled if it always
    throttles, EngineError if the measurement fails.
    """
    (measured,) = _measured(device, [("native_runner", engine)], images, settings, threads)
    return measured


def race_remote(
    device: SshDevice,
    engine: Path,
    float_model: Path,
    images: NDArray[np.uint8],
    settings: Settings,
    threads: int,
) -> tuple[Measurement, Measurement]:
    """Time a float ONNX in the device's onnxruntime and the engine, in alternation, as `measure_remote`."""
    runners = [("reference_runner", float_model), ("native_runner", engine)]
    float_runs, int8_runs = _measured(device, runners, images, settings, threads)
    return float_runs, int8_runs


def _measured(
    device: SshDevice,
    engines: Sequence[tuple[str, Path]],
    images: NDArray[np.uint8],
    settings: Settings,
    threads: int,
) -> list[Measurement]:
    with tempfile.TemporaryDirectory(prefix="edgec-remote-") as scratch:
        file, tool = Path(scratch) / "images.npy", Path(scratch) / "measure.pyz"
        np.save(file, images)
        tool.write_bytes(program("measure", *(runner for runner, _ in engines)))
        command = [device.address.python, sent(device, tool), "--images", sent(device, file)]
    for runner, engine in engines:
        command += ["--engine", runner, sent(device, engine)]
    wishes = ["--threads", str(threads), "--settings", json.dumps(asdict(settings))]
    return measure_unthrottled(device, [*command, *wishes], settings, len(engines))


def measure_unthrottled(
    device: SshDevice, command: Sequence[str], settings: Settings, count: int
) -> list[Measurement]:
    """Run a command that prints `count` measurements, and repeat it while the device throttles.

    Raises DeviceThrottled after TRIES measurements, EngineError if the command fails, DeviceAnswerError for
    times that cannot be.
    """
    reasons: tuple[str, ...] = ()
    for again in range(TRIES):
        if again:
            time.sleep(COOLING_SECONDS)
        done = run_alone(device, command)
        if done.returncode:
            raise EngineError(
                f"{device.address}: measuring failed: {done.stderr.strip()[-1000:] or done.returncode}"
            )
        with sensible(device.address, "times"):
            measured = measurements(done.stdout, settings, count)
        reasons = throttling(measured[0].before, measured[0].after)  # all are made between the two
        if not reasons:
            return measured
    raise DeviceThrottled(
        f"{device.address} throttled in all {TRIES} measurements ({', '.join(reasons)}): no result."
        " Cool it, or give it a stronger power supply."
    )
