"""Measures engines in a new child process, in which nothing else runs."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.runtime.measure import Measurement, Settings, from_json

ROOT = Path(__file__).resolve().parents[1]
"""The child's working directory: it must import our modules, not a user's folder named `targets`."""


def measure_in_child(
    engines: Sequence[tuple[str, Path]],
    images: NDArray[np.uint8],
    settings: Settings,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
) -> list[Measurement]:
    """Time engines, each given as (runner module, engine file), on images [M, H, W, C].

    For a single engine, peak memory is measured too; several engines are timed in alternation. A
    runner module has `open_engine(path, threads)`; `environment` replaces the child's, None keeps ours.
    Raises EngineError with the child's last output.
    """
    with tempfile.TemporaryDirectory(prefix="edgec-measure-") as scratch:
        file = Path(scratch) / "images.npy"
        np.save(file, images)
        command = [sys.executable, "-m", "targets.runtime.measure", "--images", str(file)]
        command += ["--settings", json.dumps(asdict(settings)), "--threads", str(threads)]
        for runner, engine in engines:
            command += ["--engine", runner, str(engine.absolute())]
        child = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
        )
    if child.returncode:
        names = ", ".join(str(engine) for _, engine in engines)
        raise EngineError(
            f"measuring {names} failed with exit code {child.returncode}:\n{child.stderr[-2000:]}"
        )
    return from_json(child.stdout.splitlines()[-1])  # a toolchain may have printed other lines before
