"""Help, the version and a mistyped word are answered at once: nothing heavy is loaded for them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.cli.app import program
from tests.conftest import ROOT

HEAVY = (
    *("torch", "onnx", "onnxruntime", "numpy", "cv2", "pydantic", "scipy", "tvm", "jinja2", "cryptography"),
    *("markdown_it", "pygments", "attr"),
)
"""Modules that no command loads before it is known that there is work to do."""

MISTYPED = (
    ["biuld"],
    ["build", "--modle", "x"],
    ["build", "--target"],
    ["report", "shwo"],
    ["verify"],
    ["cache", "prune", "--days", "soon"],
    ["baseline", "compare", "--max-drop", "-1"],
)


def commands() -> list[list[str]]:
    """Every command, and every group of them, by the words that call it."""
    found: list[list[str]] = [[]]
    for name, command in program().commands.items():
        found.append([name])
        found += [[name, inner] for inner in getattr(command, "commands", ())]
    return found


def loaded(command_lines: list[list[str]]) -> dict[str, list[str]]:
    """Run command lines in one fresh Python, and return which of HEAVY each was the first to load."""
    code = f"""
import contextlib, io, json, sys
from pipeline.cli.app import run
found, before = {{}}, set()
for words in {command_lines!r}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(words)
    now = set({HEAVY!r}) & set(sys.modules)
    found[" ".join(words)] = sorted(now - before)
    before = now
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_the_commands_are_found_here() -> None:
    assert {("build",), ("report",), ("report", "compare")} <= set(map(tuple, commands()))


@pytest.mark.parametrize(
    "command_lines",
    [[*([*words, "--help"] for words in commands()), ["--version"]], [*MISTYPED]],
    ids=["help", "mistyped"],
)
def test_it_loads_nothing_heavy(command_lines: list[list[str]]) -> None:
    assert {words: heavy for words, heavy in loaded(command_lines).items() if heavy} == {}


NOT_FOR_A_REBUILD = {*HEAVY, "pipeline.build.plan", "pipeline.config", "pipeline.report.terminal"}


def test_an_unchanged_build_loads_no_plan(warm_out: Path, quick: Path) -> None:
    """Only what reads the settings, compares digests and prints."""
    code = f"""
import sys
from pipeline.cache import remembered_code
from pipeline.cache.digest import RememberedDigests
from pipeline.cli.app import run
RememberedDigests.RACY_NS = -10**15  # as if the checkout were old
remembered_code.is_settled.cache_clear()
assert run(["build", "--config", {str(quick)!r}, "--out", {str(warm_out)!r}]) == 0
sys.stderr.write(" ".join(sorted({NOT_FOR_A_REBUILD!r} & set(sys.modules))))
"""
    command = [sys.executable, "-c", code]
    ran = [subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True) for _ in range(2)]
    assert "pipeline.build.plan" in ran[0].stderr
    assert ran[1].stderr == ""
    assert ran[1].stdout == ran[0].stdout


def test_heavy_imports_are_detected() -> None:
    assert "pydantic" in loaded([["build", "--config", "nowhere.toml"]])["build --config nowhere.toml"]
