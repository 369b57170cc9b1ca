"""The engine of a build on its Jetson, over a real SSH connection to doubles of JetPack's libraries."""

from pathlib import Path

import cv2
import onnx
import pytest

from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.cli.app import run
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from targets.tensorrt.onnx_files import write_onnx_files
from tests.pipeline.difference.small_pair import network
from tests.pipeline.report.samples import report
from tests.targets.reach.sshd import Sshd, needs_sshd
from tests.targets.tensorrt.bindings import BINDINGS, unpack, wheel
from tests.targets.tensorrt.device_double import CLASSES, SHAPE
from tests.targets.tensorrt.jetson_over_ssh.conftest import sshd  # noqa: F401 - a fixture
from tests.targets.tensorrt.loopback import install
from tests.targets.tensorrt.on_device import pictures

pytestmark = needs_sshd
TENSORRT, JETPACK = "10.3.0", "6.2"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `edgec build --target jetson-orin-nano` leaves, of a network of the doubles' size."""
    folder = tmp_path_factory.mktemp("built")
    onnx.save(network(resizes=False, side=SHAPE[0], classes=CLASSES), folder / "model.onnx")
    recipe, images = QuantRecipe.parse("w8a8_sym_mse"), pictures(8)
    made = produce(folder / "model.onnx", lambda: iter([images]), recipe, folder)
    made.quantized.rename(folder / "model.int8.onnx")
    write_onnx_files(folder / "model.int8.onnx", folder / "model.onnx", folder / "int8_qdq.onnx")
    whole = report()
    subject = whole.subject.replace(target="jetson-orin-nano")
    (folder / "report.json").write_text(whole.replace(subject=subject).to_json())
    (folder / "pictures").mkdir()
    for number, picture in enumerate(images):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), picture)
    return folder


@pytest.fixture
def jetson(sshd: Sshd, tmp_path: Path) -> Sshd:  # noqa: F811
    if wheel(BINDINGS[TENSORRT]) is None:
        pytest.skip(f"the bindings of TensorRT {TENSORRT} are not here: run scripts/tensorrt_wheels.sh")
    sshd.use_path(install(sshd.folder / "jetson", JETPACK, unpack(TENSORRT, tmp_path / "bindings")))
    return sshd


def compared(built: Path, device: Sshd, capsys: pytest.CaptureFixture[str]) -> DifferenceReport:
    sides = [str(built / "model.onnx"), str(built), "--device", str(device.address), "--every-tensor"]
    run(["diff", *sides, "--image", str(built / "pictures"), "--json"])
    said = capsys.readouterr()
    assert said.out, said.err
    return DifferenceReport.model_validate_json(said.out)


def test_tensors_inside_a_jetsons_engine_are_compared(
    built: Path, jetson: Sshd, capsys: pytest.CaptureFixture[str]
) -> None:
    (jetson.home / "runs-graphs").touch()
    found = compared(built, jetson, capsys)
    assert (found.verdict, found.faults) == (Sameness.ROUNDING, ())
    (said,) = (note for note in found.notes if "marked outputs" in note)
    assert "those of the engine that ships to 200 dB" in said
    assert "Marking a tensor changes what TensorRT fuses" in said
    assert "the first below" not in said

    (jetson.home / "runs-graphs").write_text("two")
    found = compared(built, jetson, capsys)
    assert found.verdict is Sameness.DIFFERENT
    assert any("the first below 20 dB is 'two', with 6 dB" in note for note in found.notes), found.notes


def test_without_a_gpu_it_says_so_in_one_line(
    built: Path,
    sshd: Sshd,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    sides = [str(built / "model.onnx"), str(built), "--device", str(sshd.address)]
    assert run(["diff", *sides, "--image", str(built / "pictures")]) == 1
    assert "no NVIDIA GPU answers here" in capsys.readouterr().err
