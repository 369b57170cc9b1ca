"""Programs in processes of their own that are forked where their imports are done: edgec's take 4 s.

One server a program. It runs no thread and no command itself, so each process begins as a new one does.
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


EDGEC = "pipeline.__main__"


class ForkedProgram:
    """Runs `main` of a module, edgec's if not said otherwise, in an environment.

    Its commands are forked from a process that has imported that module and those in `loaded`, and no more.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        folder: Path,
        module: str = EDGEC,
        loaded: Sequence[str] = LOADED,
    ) -> None:
        self._folder = folder
        serve = "import sys; from tests.forked_program import serve; serve(*sys.argv[1:])"
        command = [sys.executable, "-c", serve, module, *loaded]
        self._server = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._started = 0

    def run(
        self, arguments: Sequence[str], cwd: Path, killed_after: float | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run the program with these arguments; stdin is empty. It is killed after so many seconds."""
        return self.start(arguments, cwd).result(killed_after)

    def start(self, arguments: Sequence[str], cwd: Path) -> "StartedProgram":
        """Start the program with these arguments, beside others that may run."""
        self._started += 1
        streams = [self._folder / f"{stream}{self._started}" for stream in ("stdout", "stderr")]
        process = self.ask("start", *map(str, streams), str(cwd), *arguments)
        return StartedProgram(self, process, streams, arguments)

    def ask(self, *question: object) -> int:
        """Return what the server answers."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(question) + "\n")
        self._server.stdin.flush()
        try:
            return int(self._server.stdout.readline())
        except BaseException:  # a test that took too long: the answer to come is not the next command's
            self._server.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()


@dataclass(frozen=True)
class StartedProgram:
    """A running command, whose output is in files."""

    server: ForkedProgram
    process: int
    streams: Sequence[Path]
    arguments: Sequence[str]

    def result(self, killed_after: float | None = None) -> "subprocess.CompletedProcess[str]":
        """Wait for its end. It is killed after `seconds`."""
        code = self.server.ask("wait", self.process, killed_after)
        said, errors = (file.read_text(encoding="utf-8") for file in self.streams)
        for file in self.streams:
            file.unlink()
        return subprocess.CompletedProcess(["edgec", *self.arguments], code, said, errors)


def serve(module: str, *loaded: str) -> None:
    """Answer each line of standard input: to start a process with its number, to wait with its exit code."""
    end = _End()
    atexit.register(end)  # first, so that it is called last
    for name in loaded:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child would touch, and so copy, all that is loaded
    for line in sys.stdin:
        word, *rest = json.loads(line)
        if word == "start":
            assert len(list(Path("/proc/self/task").iterdir())) == 1, "a fork would lose threads"
            answer = os.fork()
            if answer == 0:
                end.code = be_the_program(rest[2:], rest[:2], module)
                return
        else:
            child, killed_after = rest
            if killed_after is not None:
                _kill(child, killed_after)
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _kill(child: int, after: float) -> None:
    """Send SIGKILL to a child process after `after` seconds, unless it has ended by then."""
    end = time.monotonic() + after
    while time.monotonic() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)


def be_the_program(asked: Sequence[str], streams: Sequence[str], module: str = EDGEC) -> int:
    """Be `main` of a module in a folder, with arguments, and return its exit code."""
    main = importlib.import_module(module).main
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
