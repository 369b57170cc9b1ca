"""The program in processes of its own that are forked where its imports are done: they take 4 s of CPU time.

One server a test session. It runs no thread and no command itself, so each process begins as a new one does.
"""

import atexit
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parent.parent
LOADED = ("pipeline.cli.app", "torch", "onnxruntime", "tvm", "scipy.optimize", "scipy.stats", "jinja2")


class ForkedProgram:
    """Runs `edgec` in an environment; its commands are forked from a process that has only imported."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._streams = folder / "stdout", folder / "stderr"
        serve = "import sys; from tests.forked_program import serve; serve(sys.argv[1:])"
        command = [sys.executable, "-c", serve, *map(str, self._streams)]
        self._server = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self, arguments: Sequence[str], cwd: Path, killed_after: float | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the program with these arguments; stdin is empty. It is killed after so many seconds."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([killed_after, str(cwd), *arguments]) + "\n")
        self._server.stdin.flush()
        try:
            code = int(self._server.stdout.readline())
        except BaseException:  # a test that took too long: the answer to come is not the next command's
            self._server.kill()
            raise
        said, errors = (file.read_text(encoding="utf-8") for file in self._streams)
        return subprocess.CompletedProcess(["edgec", *arguments], code, said, errors)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()


def serve(streams: Sequence[str]) -> None:
    """Fork for each line of standard input, and answer with an exit code."""
    end = _End()
    atexit.register(end)  # first, so that it is called last
    for name in LOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all that is loaded
    for line in sys.stdin:
        assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lose threads"
        killed_after, *asked = json.loads(line)
        child = os.fork()
        if child == 0:
            end.code = be_the_program(asked, streams)
            return
        if killed_after is not None:
            _kill(child, killed_after)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def _kill(child: int, after: float) -> None:
    """Send SIGKILL to a child process after so many seconds, unless it has ended by then."""
    end = time.monotonic() + after
    while time.monotonic() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)


def be_the_program(asked: Sequence[str], streams: Sequence[str]) -> int:
    """Be `python -m pipeline` in a folder, with arguments, and return its exit code."""
    from pipeline.__main__ import main

    os.chdir(asked[0])
    sys.argv = ["edgec", *asked[1:]]
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(streams, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
            return 1
        return end.code or 0
    except Exception:
        traceback.print_exc()
        return 1
    return 0


@dataclass
class _End:
    """The last that a program does: to leave, and not to take apart all that is loaded, which takes 1 s."""

    code: int = 0

    def __call__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.code)
