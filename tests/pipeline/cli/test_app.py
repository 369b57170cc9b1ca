"""Errors of the operating system are one line. Only bugs of our own have a traceback."""

import os
import re
import signal
import subprocess
import sys
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
    said = "too long|There is no data set|does not exist"  # from Python 3.14 on such a file is only missing
    assert re.match(rf"edgec: .*({said})", done.stderr, re.DOTALL)
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


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_is_longer_than_a_file_may_be(unbuffered: str, tmp_path: Path) -> None:
    """Unbuffered, as in containers, it was cut off with exit code 0."""
    with (tmp_path / "models.json").open("w") as short:
        done = subprocess.run(
            ["/bin/sh", "-c", 'ulimit -f 1; exec "$@"', "sh", sys.executable, "-m", "pipeline", "models"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=short,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "edgec: The output cannot be written: File too large.\n")


CTRL_C_AT_THE_IMPORT_OF = """
import os, signal, sys

class CtrlC:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == os.environ["CTRL_C_AT"]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, CtrlC)
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in the foreground
"""


@pytest.mark.parametrize("at", ["pipeline.cache.code_at_start", "pipeline.cli.app", "typer"])
@pytest.mark.parametrize("program", ["pipeline", "edgec"])
def test_ctrl_c_while_modules_load_says_nothing(program: str, at: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(CTRL_C_AT_THE_IMPORT_OF)
    done = subprocess.run(
        [sys.executable, "-m", program, "targets"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "CTRL_C_AT": at},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")


def test_ctrl_c_is_ignored_after_nohup(tmp_path: Path) -> None:
    ignored = CTRL_C_AT_THE_IMPORT_OF.replace("signal.default_int_handler", "signal.SIG_IGN")
    (tmp_path / "sitecustomize.py").write_text(ignored)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "models"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "CTRL_C_AT": "typer"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
