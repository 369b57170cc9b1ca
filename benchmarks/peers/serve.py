"""The program of every peer's process, in the peer's own venv: it loads, then times inferences on request.

The driver writes one JSON object a line, and reads one: `{"time": n}` is answered with n latencies in
nanoseconds and the CPU time they took, `{"logits": true}` with the logits of all images.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

Infer = Callable[[np.ndarray], np.ndarray]


def main(
    build: Callable[[Path], None],
    load: Callable[[Path, int], Infer],
    modules: Sequence[str],
    inputs: str = "inputs.npy",
) -> None:
    """Run `build FOLDER` or `serve FOLDER THREADS`.

    `modules` are imported before loading is timed; `inputs` is the file of images the peer takes.
    """
    folder = Path(sys.argv[2])
    if sys.argv[1] == "build":
        build(folder)
        return
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library may print, in C++ too: MNN's does where it is imported
    for module in modules:
        importlib.import_module(module)
    serve(lambda: load(folder, int(sys.argv[3])), np.load(folder / inputs), answers)


def serve(load: Callable[[], Infer], images: np.ndarray, answers: TextIO) -> None:
    """Answer until the driver closes the pipe."""
    begin = time.perf_counter_ns()
    infer = load()
    loaded = time.perf_counter_ns()
    infer(images[:1])
    first = time.perf_counter_ns()
    say: dict[str, object] = {"load_ms": (loaded - begin) / 1e6, "first_ms": (first - loaded) / 1e6}
    while True:
        print(json.dumps(say), file=answers, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        task = json.loads(line)
        say = timed(infer, images, task["time"]) if "time" in task else {"logits": logits(infer, images)}


def timed(infer: Infer, images: np.ndarray, runs: int) -> dict[str, object]:
    """Time single inferences; the first two, with caches that others have used, do not count."""
    singles = [images[i : i + 1] for i in range(len(images))]
    for i in range(2):
        infer(singles[i % len(singles)])
    latencies, cpu = [], time.process_time_ns()
    for i in range(runs):
        one = singles[i % len(singles)]
        begin = time.perf_counter_ns()
        infer(one)
        latencies.append(time.perf_counter_ns() - begin)
    return {"ns": latencies, "cpu_ns": time.process_time_ns() - cpu}


def logits(infer: Infer, images: np.ndarray) -> list[list[float]]:
    """Return the logits of every image."""
    return [np.asarray(infer(images[i : i + 1])).reshape(-1).tolist() for i in range(len(images))]
