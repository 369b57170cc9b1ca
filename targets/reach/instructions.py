"""Counts the instructions that an engine executes per inference: a cost that is the same on every machine.

The number is exact and repeatable, and is never called a latency: a processor executes several instructions a
cycle, or waits for memory.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.reach.emulator import QEMU
from targets.runtime.zig import run_zig

PLUGIN = Path(__file__).parent / "count_instructions.c"
IMAGES = 4


def instructions_per_inference(engine: Path, cpu: str, images: NDArray[np.uint8]) -> int:
    """Return how many instructions one inference executes, on one thread, emulating `cpu`.

    `images` are uint8 [N, H, W, C]. The difference between runs of two lengths: loading, and the first
    inference, do not count. Raises EngineError if the emulator or the engine fails.
    """
    repeated = images[np.arange(1 + IMAGES) % len(images)]
    with tempfile.TemporaryDirectory(prefix="edgec-count-") as folder:
        plugin = Path(folder) / "count.so"
        build_plugin(plugin)
        command = [str(engine.resolve()), "logits", "--threads", "1"]
        runs = [repeated[:length].tobytes() for length in (1, 1 + IMAGES)]
        counts = [count_executed(cpu, plugin, command, pixels)[0] for pixels in runs]
    return round((counts[1] - counts[0]) / IMAGES)


def build_plugin(plugin: Path) -> None:
    """Compile the plugin; what it calls is in qemu itself. Raises EngineError."""
    options = ["-shared", "-fPIC", "-O2", "-std=c11", "-Wall", "-Wextra", "-Wl,-z,lazy"]
    done = run_zig([*options, "-Wl,--allow-shlib-undefined"], [PLUGIN], plugin)
    if done.returncode:
        raise EngineError(f"compiling {PLUGIN.name} failed:\n{done.stderr[-2000:]}")


def count_executed(cpu: str, plugin: Path, command: Sequence[str], data: bytes = b"") -> tuple[int, bytes]:
    """Run options and a program in the emulator; returns how many instructions it executed, and its output.

    Raises EngineError if the emulator or the program fails.
    """
    emulated = [QEMU, "-cpu", cpu, "-plugin", str(plugin), *command]
    done = subprocess.run(emulated, input=data, capture_output=True, check=False)
    counted = re.search(rb"instructions (\d+)", done.stderr)
    if done.returncode or not counted:
        reason = done.stderr.decode(errors="replace")[-500:] or f"exit code {done.returncode}"
        raise EngineError(f"counting the instructions of {command} under {QEMU} -cpu {cpu} failed: {reason}")
    return int(counted[1]), done.stdout
