"""The public face: every name is there, nothing loads before it is used, and none of it is another's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import edgec
from edgec.origin import HOME, refuse_packages_from_elsewhere
from pipeline.data.open import open_dataset
from pipeline.errors import UsageError
from targets.errors import UnknownTarget
from tests.conftest import ROOT

TEST = """
def test_of_the_user():
    from pipeline.theirs import answer
    assert answer == 42
"""
USES_EDGEC = """
from edgec.testing import assert_accuracy

def test_release(edgec_build):
    pass
"""


def test_all_names_are_there_and_stay_the_same() -> None:
    assert edgec.__all__ == [
        *("BuildConfig", "QuantRecipe", "Report", "__version__", "build", "find_target", "quantize")
    ]
    assert all(getattr(edgec, name) is not None for name in edgec.__all__)
    assert dir(edgec) == edgec.__all__
    with pytest.raises(AttributeError, match="has no attribute 'biuld'"):
        edgec.biuld  # noqa: B018


def test_importing_it_loads_nothing() -> None:
    code = "import sys, edgec, edgec.testing\nprint(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"pipeline", "targets", "calibration", "numpy", "torch", "pydantic"} & {*done.stdout.split()}


def test_our_packages_are_recognised() -> None:
    refuse_packages_from_elsewhere()
    assert (HOME / "edgec" / "origin.py").is_file()


def test_packages_from_elsewhere_are_refused_by_both_names(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").touch()
    code = "import edgec; edgec.build"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert f"{ROOT / 'pipeline'}, but Python finds {tmp_path / 'pipeline'}. Rename" in done.stderr


def test_tests_of_a_repository_with_a_folder_called_pipeline_run(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "theirs.py").write_text("answer = 42\n")
    (tmp_path / "pipeline" / "__init__.py").touch()
    (tmp_path / "test_theirs.py").write_text(TEST)
    (tmp_path / "test_ours.py").write_text(USES_EDGEC)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed, 1 error" in done.stdout, done.stdout
    assert str(tmp_path / "pipeline") in done.stdout
    assert str(ROOT / "pipeline") in done.stdout


def test_options_take_precedence_over_a_configuration(out: Path) -> None:
    with pytest.raises(UnknownTarget, match="refrence"):
        edgec.build(edgec.BuildConfig(target="reference", out=out), target="refrence")
    with pytest.raises(UsageError, match=r"modle is unknown\. Did you mean 'model'"):
        edgec.build(modle="resnet18")


@pytest.mark.slow
def test_build_and_quantize(quick: Path, out: Path, tmp_path: Path) -> None:
    report = edgec.build(quick, out=out)
    assert report.subject.model == "resnet20-fashion"
    built = out / "resnet20-fashion-reference"
    assert report == edgec.Report.load(built / "report.json")
    pixels = np.zeros((4, 32, 32, 1), np.uint8)
    pixels[1:, 2:-2, 2:-2] = open_dataset("fashion-mnist").split("calibration").images.decode(0, 1)
    made = edgec.quantize(built / "model.onnx", [pixels], "w8a8_asym", tmp_path / "quantized")
    onnx.checker.check_model(made, full_check=True)
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in onnx.load(made).graph.node}
