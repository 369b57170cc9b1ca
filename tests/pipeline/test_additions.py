"""A dummy of everything in CONTRIBUTING.md is added to a copy: no more files than it says, and it works."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from pipeline.bundle.contents import verify
from tests.conftest import ROOT
from tests.dummies import DUMMIES, MOST

pytestmark = pytest.mark.slow  # a copy with all additions is built once


def copied(folder: Path) -> Path:
    """The three packages, to be changed."""
    for package in ("pipeline", "targets", "calibration"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").symlink_to(ROOT / "data")
    return folder


def said(copy: Path, *arguments: str) -> str:
    return ran(copy, "-m", "pipeline", *arguments)


def ran(copy: Path, *arguments: str, **environment: str) -> str:
    """Python's output in a copy."""
    variables = {**os.environ, "COLUMNS": "120", "PYTHONPATH": f"{copy}:{ROOT}", **environment}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=copy, env=variables, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def changed(copy: Path) -> set[Path]:
    """The files that are new or different in a copy."""
    files = [file.relative_to(copy) for file in copy.rglob("*") if file.is_file()]
    return {file for file in files if file.suffix != ".pyc" and not is_same(copy / file, ROOT / file)}


def is_same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


@dataclass(frozen=True)
class GrownCopy:
    """A copy with one dummy of each, which files each took, and a build with them."""

    folder: Path
    files: dict[str, set[Path]]
    printed: str

    @property
    def results(self) -> Path:
        return self.folder / "out/resnet20-fashion-acme"

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.results / "report.json").read_text())
        return found


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> GrownCopy:
    copy, files = copied(tmp_path_factory.mktemp("grown")), dict[str, set[Path]]()
    for name, add in DUMMIES.items():
        before = changed(copy)
        add(copy)
        files[name] = changed(copy) - before
    config = quick.read_text().replace("[validation]\n", "[validation]\nmax_drop = 90.0\n")
    (copy / "edgec.toml").write_text(config)
    wanted = ["--target", "acme", "--recipe", "w8a8_asym_wide_low"]
    return GrownCopy(copy, files, said(copy, "build", "--config", "edgec.toml", "--out", "out", *wanted))


@pytest.mark.parametrize("name", MOST)
def test_no_more_files_are_touched_than_the_list_says(name: str, grown: GrownCopy) -> None:
    assert 1 <= len(grown.files[name]) <= MOST[name], grown.files[name]


def test_a_board_is_shown_among_the_targets(grown: GrownCopy) -> None:
    assert "a board of a test" in said(grown.folder, "targets")


def test_a_toolchain_is_built_measured_and_bundled_like_the_others(grown: GrownCopy) -> None:
    tools, times = grown.report["tools"], grown.report["coverage"]["times"]
    assert tools["pytest"] == version("pytest")
    assert "apache-tvm" not in tools
    assert [layer["layer"] for layer in times["layers"]] == ["everything"]
    assert grown.report["latency_int8"]["kind"] == "measured"
    (bundle,) = (grown.folder / "out").glob("*.edgec")
    assert verify(bundle).manifest.engine.endswith("acme.bin")


def test_an_observer_finds_ranges_and_a_correction_is_applied(grown: GrownCopy) -> None:
    assert grown.report["subject"]["recipe"] == "w8a8_asym_wide_low"
    assert grown.report["subject"]["target"] == "acme"


def test_a_section_of_the_report_is_shown_in_every_form(grown: GrownCopy) -> None:
    report = grown.results / "report.json"
    said(grown.folder, "report", "show", str(report), "--markdown", "summary.md")
    assert '"kilograms": 75.5' in report.read_text()
    assert "<h2>Anvil</h2><p>75.5 kg</p>" in report.with_suffix(".html").read_text()
    assert re.search(r"Anvil +kg.*\n.*\n +weight +75.5", grown.printed)
    markdown = (grown.folder / "summary.md").read_text()
    assert "The anvil \\<was\\> weighed." in markdown
    assert "| anvil |  | 75.5 kg |" in markdown


QUANTISED = """
import onnx
from calibration.onnx_graph import OnnxGraph
from calibration.placement import place
from calibration.recipe import QuantRecipe

network = onnx.parser.parse_model('''
<ir_version: 8, opset_import: ["" : 17]>
hand (uint8[N,8,8,3] image) => (float[N,1,1,1] logits)
<float three = {3.0}, float[1,3,1,1] w = {1.0, 2.0, 3.0}> {
    [cast] a = Cast<to = 1>(image)
    [sub] b = Sub(a, three)
    [mul] c = Mul(b, three)
    [move] pixels = Transpose<perm = [0, 3, 1, 2]>(c)
    [conv] sums = Conv(pixels, w)
    [shrink] shrunk = Shrink<lambd = 1.0>(sums)
    [pool] logits = GlobalAveragePool(shrunk)
}''')
print("sums" in place(OnnxGraph(network), QuantRecipe.parse("w8a8_asym")).tensors)
"""
COMPILED = """
from pathlib import Path
import numpy as np
from targets.tvm import oracle
from targets.tvm.cpu_target import compile_engine
from targets.tvm.importer import import_graph
from targets.tvm.isa import ISAS
from targets.tvm.operators.element_by_element import Shrink
from tests.targets.tvm.qdq_model import QdqModel

net = QdqModel(6, 5, 3)
x = net.quantized(net.conv(net.image(), 16, 3), 0.5, 128)
x = net.quantized(net.node("Shrink", x, bias=0.0, lambd=9.0), 0.6, 128)
x = net.quantized(net.node("GlobalAveragePool", x), 0.3, 128)
path = net.save(net.gemm(net.node("Flatten", x), 7, 16), Path("shrink.onnx"))
graph = import_graph(path)
assert any(isinstance(one, Shrink) for one in graph.operators)
images = np.random.default_rng(0).integers(0, 256, (3, 6, 5, 3), np.uint8)
expected = oracle.run(graph, images)
compile_engine(path, ISAS["anvil"], Path("shrink.engine"))
"""
RUN = """
from targets.runtime.cpu import why_not
from targets.tvm.cpu_target import HostTarget
if why_not("anvil") is None:
    with HostTarget().open(Path("shrink.engine")) as runner:
        assert np.array_equal(runner.infer(images).reshape(expected.shape), expected)
print("compiled")
"""


def test_an_operators_input_is_quantised(grown: GrownCopy) -> None:
    assert ran(ROOT, "-c", QUANTISED) == "False\n"
    assert ran(grown.folder, "-c", QUANTISED) == "True\n"


def test_an_operator_is_computed_and_compiled_for_a_new_instruction_set(grown: GrownCopy) -> None:
    """And run where the processor has it: with the oracle's bits."""
    assert ran(grown.folder, "-c", COMPILED + RUN).endswith("compiled\n")


def test_an_option_of_builds_has_its_help_and_is_checked(grown: GrownCopy) -> None:
    assert "An option of a test." in said(grown.folder, "build", "--help")
    wrong = said(grown.folder, "build", "--anvil", "heavy")
    assert "anvil is 'heavy': input should be a valid integer" in wrong
