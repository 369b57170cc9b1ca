"""Engines that do not run on this processor, as A or B of `edgec diff`: over SSH and in the emulator."""

from pathlib import Path

import cv2
import onnx
import pytest

from pipeline.cli.app import run
from pipeline.difference.engine_side import engine_side
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from pipeline.report.pages.difference_page import difference_html
from targets.reach import emulator
from targets.tvm.cpu_target import compile_engine, host_isa
from targets.tvm.isa import ISAS
from tests.pipeline.difference.small_pair import pictures as small_pictures
from tests.pipeline.difference.small_pair import small_pair
from tests.targets.needs import or_skip
from tests.targets.reach.conftest import sshd  # noqa: F401 - a fixture
from tests.targets.reach.sshd import Sshd, needs_sshd

pytestmark = pytest.mark.slow  # engines are compiled, two of them to give every tensor
RECIPE = "w8a8_asym_mse_bc"
BOARD = "dotprod"
"""The instruction set of a Raspberry Pi 5."""


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `here` and `board` with a Q/DQ network and its engine, `float.onnx` and `pictures`."""
    folder = tmp_path_factory.mktemp("builds")
    (folder / "made").mkdir()
    pair = small_pair(folder / "made", (RECIPE,), resizes=False)
    onnx.save(pair.float_model, folder / "float.onnx")
    for name, isa in (("here", or_skip(host_isa)), ("board", ISAS[BOARD])):
        (folder / name).mkdir()
        onnx.save(pair.quantised[RECIPE], folder / name / "model.int8.onnx")
        compile_engine(folder / name / "model.int8.onnx", isa, folder / name / "model.engine")
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pair.pictures[:3]):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), picture[:, :, ::-1])
    return folder


def compared(
    capsys: pytest.CaptureFixture[str], builds: Path, a: str, b: str, *words: str
) -> tuple[int, DifferenceReport]:
    pictures = ["--image", str(builds / "pictures"), "--json"]
    code = run(["diff", str(builds / a), str(builds / b), *pictures, *words])
    shown = capsys.readouterr()
    assert shown.out, shown.err
    return code, DifferenceReport.model_validate_json(shown.out)


@needs_sshd
@pytest.mark.parametrize(
    ("a", "b", "words"), [("float.onnx", "here", ["--every-tensor"]), ("here", "float.onnx", [])]
)
def test_an_engine_on_a_device_is_the_same_network_rounded(
    a: str,
    b: str,
    words: list[str],
    sshd: Sshd,  # noqa: F811
    builds: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sshd.give_this_python(tmp_path / "bin")
    code, found = compared(capsys, builds, a, b, "--device", str(sshd.address), *words)
    assert (code, found.verdict, found.faults) == (0, Sameness.ROUNDING, ())
    assert any(f"runs on {sshd.address}" in note for note in found.notes), found.notes
    here, there = (found.b_ran_on, found.a_ran_on) if a == "here" else (found.a_ran_on, found.b_ran_on)
    assert here == found.processor
    assert there is not None
    assert there.startswith(f"{sshd.address}: ")
    assert f"B ran on {found.b_ran_on}. Tensors were compared on" in difference_html(found)
    debugged = [note for note in found.notes if "every number of" in note and str(sshd.address) in note]
    assert len(debugged) == len(words), found.notes


def test_an_engine_has_the_bits_of_its_own_graph_and_not_of_another(builds: Path, tmp_path: Path) -> None:
    engine, graph = builds / "here" / "model.engine", builds / "here" / "model.int8.onnx"
    other = onnx.load(graph)
    weight = next(one for one in other.graph.initializer if len(one.dims) == 4)
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight)[:, :, ::-1], weight.name))
    onnx.save(other, tmp_path / "other.onnx")
    pictures = small_pictures(2)

    with (
        engine_side(engine, graph, "own") as own,
        engine_side(engine, tmp_path / "other.onnx", "other") as mixed,
    ):
        assert own.is_exact is not None
        assert mixed.is_exact is not None
        assert (own.is_exact(pictures), mixed.is_exact(pictures)) == (True, False)


@needs_sshd
def test_a_device_that_is_not_reached_is_named(
    sshd: Sshd,  # noqa: F811
    builds: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = str(sshd.address)
    sshd.stop()
    words = ["--image", str(builds / "pictures"), "--device", address]
    assert run(["diff", str(builds / "float.onnx"), str(builds / "here"), *words]) == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(("a", "b", "words"), [("here", "board", ["--every-tensor"]), ("board", "here", [])])
def test_an_emulated_engine_has_the_bits_of_the_one_here(
    a: str, b: str, words: list[str], builds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    or_skip(emulator.check)
    code, found = compared(capsys, builds, a, b, *words)
    assert (code, found.verdict) == (0, Sameness.IDENTICAL)
    assert any("emulated (qemu-aarch64" in note for note in found.notes), found.notes
    board = found.b_ran_on if b == "board" else found.a_ran_on
    assert board is not None
    assert board.startswith("emulated (qemu-aarch64 -cpu")
    debugged = [note for note in found.notes if "every number of" in note]
    assert len(debugged) == 2 * len(words), found.notes
