"""A C compiler ends with the process that called it, and so does all that the compiler has started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from targets.runtime.zig import run_zig

ROOT = Path(__file__).parents[3]
HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A program that a shell starts in the background ignores it, and so do those that it starts."""
CALLS = "from targets.runtime.zig import run_zig; from pathlib import Path; run_zig([], [], Path('a'))"
ZIG = """
import os, subprocess, sys, time
linker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stderr=subprocess.DEVNULL)
open(os.environ["STARTED"] + "/new", "w").write(f"{os.getpid()} {linker.pid}")
os.rename(os.environ["STARTED"] + "/new", os.environ["STARTED"] + "/all")
time.sleep(600)
"""


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A zig that starts a linker and waits; the file tells their process numbers."""
    package = tmp_path / "ziglang"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(ZIG)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    monkeypatch.setenv("STARTED", str(tmp_path))
    yield tmp_path / "all"
    for process in processes(tmp_path / "all"):
        if runs(process):
            os.kill(process, signal.SIGKILL)


def processes(file: Path) -> list[int]:
    """Wait until zig runs, and return its number and its linker's."""
    while not file.exists():
        time.sleep(0.02)
    return [int(one) for one in file.read_text().split()]


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(of_zig: list[int]) -> bool:
    """Wait until none of them runs, for ten seconds at most."""
    for _ in range(500):
        if not any(map(runs, of_zig)):
            return True
        time.sleep(0.02)
    return False


@contextmanager
def killed_at_last(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, and kill it in any case: waiting for one that does not end would never end."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name)
def test_a_killed_build_leaves_no_compiler(started: Path, number: signal.Signals) -> None:
    """Else the compiler holds the lock of its cache, and the next build waits for it without a word."""
    program = f"{HEARS_CTRL_C}; {CALLS}"
    with killed_at_last([sys.executable, "-c", program]) as build:
        of_zig = processes(started)
        assert len(of_zig) == 2
        assert all(map(runs, of_zig))
        build.send_signal(number)
        assert ended(of_zig)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for as Linux lists them")
def test_ctrl_c_ends_the_compiler_where_the_program_goes_on(started: Path) -> None:
    """The compiler is in a session of its own, so a terminal's Ctrl-C does not reach it."""
    program = f"{HEARS_CTRL_C}\ntry:\n    {CALLS}\nexcept KeyboardInterrupt:\n    input()"
    with killed_at_last([sys.executable, "-c", program]) as build:
        of_zig = processes(started)
        build.send_signal(signal.SIGINT)
        assert ended(of_zig)
        assert build.poll() is None


def test_what_the_compiler_answers_comes_back(tmp_path: Path) -> None:
    (tmp_path / "wrong.c").write_text("int one(void) { return; }\n#error of its own\n")
    done = run_zig(["-c"], [tmp_path / "wrong.c"], tmp_path / "wrong.o")
    assert done.returncode == 1
    assert "of its own" in done.stderr
