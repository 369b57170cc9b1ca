"""What the operating system refuses is said in a line; a traceback is for our own bugs."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, Edgec

LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "show", LONG],
        ["report", "compare", LONG, LONG],
        ["build", "--config", LONG],
        ["build", "--data", LONG],
        ["build", "--checkpoint", LONG],
        ["build", "--out", LONG],
        ["verify", LONG],
    ],
    ids=" ".join,
)
def test_a_name_longer_than_names_may_be(edgec: Edgec, tmp_path: Path, arguments: list[str]) -> None:
    done = edgec(*arguments, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert re.match(r"edgec: .*(too long|File name too long)", done.stderr, re.DOTALL)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["targets"], ["models", "--json"], ["--help"]], ids=" ".join)
def test_output_that_a_full_disk_does_not_take(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "pipeline", *arguments]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "edgec: The output cannot be written: No space left on device.\n",
    )


@pytest.mark.parametrize("after_seconds", [0.1, 0.2, 0.4, 0.8])
def test_ctrl_c_while_modules_load_says_nothing(after_seconds: float) -> None:
    """Whenever it comes; a program that has ended before is as good."""

    def as_in_the_foreground() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    running = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "targets"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=as_in_the_foreground,  # noqa: PLW1509 - no threads here
    )
    time.sleep(after_seconds)
    os.kill(running.pid, signal.SIGINT)
    said = running.communicate()[1]
    assert "pipeline" not in said  # no traceback through our modules; Python's own start is not ours
    assert running.returncode in (0, 130, -signal.SIGINT)
