"""Checks that memory, open files and threads do not grow over an hour's worth of frames.

nice -n 19 python -m benchmarks.hour_of_frames             # 108,000 frames of 720p, NV12, through each

An hour of 30 frames a second runs at full speed through libedgec in programs in C, C++ and Python, through a
GStreamer pipeline, and through edgec-serve by shared memory, by its socket, and as JPEG files of 120 x 90.
After each thousand frames the program's memory, files and threads are read from /proc. The first thousand are
not counted: they touch what was allocated.
"""

import argparse
import re
import sys
import tempfile
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.adapter_equality import (
    MACHINE,
    build_element,
    gstreamer_environment,
    gstreamer_program,
    linked,
    run,
)
from benchmarks.overhead.random_residual import residual_network
from benchmarks.overhead.timed_adapter import PROGRAMS, TimedAdapter, by_program
from benchmarks.overhead.timed_service import TimedService
from targets.runtime.compiled_libedgec import ARCHIVE, COMPILED, LIBRARY
from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE
from tests.targets.runtime.libedgec.camera_scenes import Scene
from tests.targets.runtime.serve.frame_request import request_of

PART = 1000
ALLOWED_GROWTH = 128
"""KiB. Less than a page for each hundred frames, and than one frame, which has 1,350."""


@dataclass(frozen=True)
class HeldByProcess:
    """What a process holds."""

    resident: int
    files: int
    threads: int

    @classmethod
    def of(cls, process: int) -> "HeldByProcess":
        """Read it from /proc; memory in KiB."""
        folder = Path(f"/proc/{process}")
        told = dict(re.findall(r"(\w+):\s+(\d+)", (folder / "status").read_text()))
        return cls(int(told["VmRSS"]), len(list((folder / "fd").iterdir())), int(told["Threads"]))


def soak(timed: TimedAdapter, frames: int) -> list[HeldByProcess]:
    """Return a sample of the adapter's process for each thousand frames, without the first thousand."""
    process = timed.processes[0]
    timed(PART)
    samples = [HeldByProcess.of(process)]
    for _ in range(frames // PART):
        timed(PART)
        samples.append(HeldByProcess.of(process))
    return samples


def leaks(samples: list[HeldByProcess]) -> bool:
    """Whether there are more files or threads than at first, or more memory in the second half.

    A sample may be taken before the service has freed the last request's frame, so one alone says little.
    """
    first, half = samples[0], len(samples) // 2
    more = any(one.files > first.files or one.threads > first.threads for one in samples)
    before, after = (max(one.resident for one in part) for part in (samples[: half + 1], samples[half:]))
    return more or after - before > ALLOWED_GROWTH


def ways(folder: Path) -> dict[str, AbstractContextManager[TimedAdapter]]:
    """Compile all of them, and a small network."""
    network = residual_network(32, (16, 32, 64), 1, folder / "resnet8.engine")
    archive = COMPILED.folder(MACHINE) / ARCHIVE
    program = linked(["-O2", "-std=gnu11", "-lm"], [PROGRAMS / "time_c.c", archive], folder / "c")
    client = linked(["-O2", "-std=gnu11"], [PROGRAMS / "time_http.c"], folder / "client")
    cpp, source = folder / "cpp", PROGRAMS / "time_cpp.cpp"
    run(["g++", "-O2", f"-I{LIBRARY}", source, archive, "-lm", "-pthread", "-o", cpp], b"")
    element = gstreamer_environment(build_element(folder / "board"))
    pipeline = gstreamer_program(PROGRAMS / "time_gstreamer.c", folder / "pipeline")
    frame = Scene("NV12", "BT709", True, 720, 1280).frame(np.random.default_rng(0))
    service = TimedService(COMPILED_SERVICE.folder(MACHINE) / SERVICE, client, network)
    picture = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))[1]
    return {
        "C": by_program([program, network]),
        "C++": by_program([cpp, network]),
        "Python": by_program([sys.executable, "-m", "benchmarks.overhead.time_python", network]),
        "GStreamer": by_program([pipeline, network], element),
        "HTTP, shared memory": service.by_shared_memory(frame),
        "HTTP": service.by_http(*request_of(frame)),
        "HTTP, JPEG": service.by_http(picture.tobytes(), {"Inference-Header-Content-Length": "0"}),
    }


def main() -> None:
    """Soak each way, and print a row for it. The exit status is 1 if one of them leaks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=108_000, help="through each way")
    arguments = parser.parse_args()
    found = False
    print("| | frames | memory first, most, last (KiB) | files | threads |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="edgec-hour-") as scratch:
        for name, way in ways(Path(scratch)).items():
            with way as timed:
                samples = soak(timed, arguments.frames)
            found |= leaks(samples)
            memory = [one.resident for one in samples]
            files, threads = ({getattr(one, kind) for one in samples} for kind in ("files", "threads"))
            cells = (f"{memory[0]:,}, {max(memory):,}, {memory[-1]:,}", sorted(files), sorted(threads))
            told = " | ".join(str(one).strip("[]") for one in cells)
            print(f"| {name} | {arguments.frames:,} | {told} |", flush=True)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
