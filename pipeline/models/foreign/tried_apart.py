"""Tries a graph in a process of its own, whose memory and processor time are limited.

onnx and onnxruntime compute constants and shapes while they read, however long that takes and however much
it fills; a library's fault there ends the process. So a graph whose size its shapes alone do not
tell is read there first.
"""

import json
import os
import pickle
import resource
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.errors import CheckpointError
from pipeline.models.foreign.external_data import external_files
from pipeline.reading.reading_limits import ONNX_MEMORY, ONNX_SECONDS

ROOT = Path(__file__).resolve().parents[3]
"""Where the child imports our modules from. Its working directory is ours, for relative paths."""
APART = "EDGEC_TRIED_APART"
REFUSED = 3


def tried_apart(path: Path, values: int, module: str, function: str, *arguments: object) -> object:
    """Call a function in a child process with limits, and return its JSON-ready result.

    path is the ONNX or .tflite file it reads, values how many an image has: what the limits follow from. The
    arguments are pickled. Raises CheckpointError if the function raises it, needs more than the limits, or
    the process dies.
    """
    others = external_files(path) if path.suffix != ".tflite" else ()
    size = sum(file.stat().st_size for file in (path, *others))
    seconds = ONNX_SECONDS + (size >> 23)
    memory = ONNX_MEMORY + 16 * size + 1024 * values
    request = pickle.dumps((module, function, arguments, seconds, memory))
    done = subprocess.run(
        [sys.executable, "-P", "-m", __name__],  # -P: not from a user's folder that is named `pipeline`
        input=request,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        },
        capture_output=True,
        check=False,
    )
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if done.returncode == REFUSED:
        raise CheckpointError(json.loads(done.stdout.splitlines()[-1]))
    why = (
        f"takes more than {seconds} s of processor time"
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL)
        else f"needs more than {memory >> 20} MiB of memory, or breaks the libraries that read it"
        f" ({_last(done.stderr)})"
    )
    raise CheckpointError(f"{path} {why} before it computes anything: refused.")


def is_apart() -> bool:
    """Whether this is the process with limits."""
    return os.environ.get(APART) == str(os.getpid())


def _last(errors: bytes) -> str:
    lines = errors.decode(errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "no message"


def _limit(seconds: int, memory: int) -> None:
    with open("/proc/self/status") as file:  # noqa: PTH123 - a file of the kernel
        used = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + memory, used + memory))
    spent = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, spent + seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> int:
    """Call what standard input names. Returns REFUSED for a CheckpointError, with its text on stdout."""
    os.environ[APART] = str(os.getpid())  # a value from outside cannot be right
    module, function, arguments, seconds, memory = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - from us
    import onnxruntime  # noqa: F401 - its memory is not the graph's

    called: Any = getattr(import_module(module), function)
    _limit(seconds, memory)
    try:
        found = called(*arguments)
    except CheckpointError as error:
        sys.stdout.write(json.dumps(str(error)) + "\n")
        return REFUSED
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
