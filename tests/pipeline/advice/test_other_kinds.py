"""What messages say that ask for another kind of thing: gate, picture, ending, bundle, version."""

import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import h5py
import numpy as np
import onnx
import pytest

from calibration.scheme import Scheme
from pipeline.bundle.pack import pack
from pipeline.cli.app import run
from pipeline.cli.describe import describe
from pipeline.difference.opened_side import opened_side
from pipeline.errors import ReportError, UsageError
from pipeline.models.keras import read_keras
from pipeline.models.weights.content import read_content
from pipeline.packages.jetson_graphs import require_jetson
from pipeline.report import gates
from pipeline.report.comparison import refuse_incomparable
from targets.base import Origin
from targets.errors import TargetError
from targets.runtime.bundle import history
from targets.runtime.bundle.history import HistoryError, switches
from targets.runtime.bundle.manifest import NAME
from targets.runtime.exact import session
from targets.runtime.exact.session import NotExactError, exact_settings
from targets.runtime.preprocess import ImageError, decode
from targets.tensorrt.half import rounded_to_half
from targets.tvm.importer import import_graph
from targets.tvm.isa import ISAS
from targets.tvm.lower import lower
from tests.attacks.bundles import digest, made_up
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.difference.small_pair import Pair
from tests.pipeline.models.foreign.quantised.forms import the_lowest_weight
from tests.pipeline.models.foreign.quantised.others import model, read

PIXELS: Any = SimpleNamespace(rates=())


@pytest.mark.parametrize(
    "words",
    [
        "min_top1 limits top-1, but this network classifies pixels: use max_drop",
        "min_ratio limits top-1, but this network classifies pixels: use max_drop",
    ],
)
def test_another_gate_helps_where_pixels_are_classified(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "plausibility_gate", lambda _: None)
    none: dict[str, Any] = {"max_drop": None, "min_ratio": None, "origin": Origin.HOST}
    limits = [none | {words.split(maxsplit=1)[0]: 0.9}, none | {"max_drop": 1.0}]
    attempt: Callable[[], object] = lambda: list(gates.accuracy_gates(PIXELS, **limits[0]))  # noqa: E731
    check_advice(words, attempt, lambda: limits.pop(0), ReportError)


def test_the_same_images_or_another_baseline_help() -> None:
    def baseline(images: int) -> Any:  # noqa: ANN401 -- the fields that are compared
        same = {"model": "m", "target": "t", "device": "d", "dataset": "s"}
        return SimpleNamespace(**same, evaluation_digest="e", images=images)

    before = [baseline(300)]
    check_advice(
        "others: use the same images, or save a new baseline",
        lambda: refuse_incomparable(before[-1], baseline(200)),
        lambda: before.append(baseline(200)),
    )


def test_a_history_that_was_looked_at_and_removed_helps(tmp_path: Path) -> None:
    file = tmp_path / history.NAME
    file.write_text("{")
    words = "Look at it; removing it lets older ones in"
    check_advice(words, lambda: switches(tmp_path), file.unlink, HistoryError)


def test_another_onnxruntime_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = ["conv3x3"]
    monkeypatch.setattr(session, "wrong_layers", lambda *_: wrong)
    words = "Use another version of onnxruntime"
    check_advice(words, lambda: exact_settings.__wrapped__(1), wrong.clear, NotExactError)


def test_a_picture_as_jpeg_helps() -> None:
    pictures = [b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)]
    jpeg = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    check_advice(
        "convert it to JPEG", lambda: decode(pictures[-1], 3), lambda: pictures.append(jpeg), ImageError
    )


def test_weights_that_fit_half_precision_help() -> None:
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], "conv")
    weights = [np.array([1e6], np.float32)]
    check_advice(
        "Weights of that size are broken: load others",
        lambda: rounded_to_half(weights[-1], "w", node),
        lambda: weights.append(np.array([1.0], np.float32)),
        TargetError,
    )


def test_the_ending_of_keras_helps(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    with h5py.File(tmp_path / "model.weights.h5", "w") as weights:
        weights["conv1_conv/kernel"] = np.zeros(4, np.float32)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    given = [file]

    def attempt() -> None:
        if given[-1].suffix == ".keras":
            read_keras(given[-1])
        else:
            read_content(given[-1])

    def heed() -> None:
        given.append(file.rename(tmp_path / "w.keras"))

    check_advice("give its name the ending .keras", attempt, heed)


def test_the_list_of_models_helps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="Known models need no description; see `edgec models`"):
        describe(Path("resnet18"), [], None, write=False, as_json=False)
    assert run(["models"]) == 0
    assert "resnet18" in capsys.readouterr().out


Bundle = Callable[[str], Path]


@pytest.fixture
def bundle(pair: Pair, tmp_path: Path) -> Bundle:
    """Writes a bundle of one kind."""

    def write(runner: str) -> Path:
        engine = pair.quantised["w8a8_asym_mse_bc"].SerializeToString()
        fields = made_up({"engine": digest(engine)})
        text = fields.to_json().replace("reference_runner", runner).encode()
        pack({"engine": engine, NAME: text}, tmp_path / "net.edgec", top="m-t")
        return tmp_path / "net.edgec"

    return write


def test_the_folder_of_a_build_helps_where_the_engine_runs_elsewhere(
    bundle: Bundle, pair: Pair, tmp_path: Path
) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    onnx.save(pair.quantised["w8a8_asym_mse_bc"], folder / "model.int8.onnx")
    sides = [bundle("tensorrt.runner")]

    def attempt() -> None:
        side: AbstractContextManager[object] = opened_side(sides[-1])
        with side:
            pass

    words = "Give the folder of its build, which has the Q/DQ network"
    check_advice(words, attempt, lambda: sides.append(folder))


def test_a_bundle_for_a_jetson_helps() -> None:
    def of(runner: str, target: str) -> Any:  # noqa: ANN401 -- what is asked of a bundle
        return SimpleNamespace(manifest=SimpleNamespace(runner=runner, target=target))

    bundles = [of("native_runner", "host")]
    check_advice(
        "Build one with --target jetson",
        lambda: require_jetson(bundles[-1], "triton"),
        lambda: bundles.append(of("tensorrt.runner", "jetson")),
    )


def test_the_file_of_the_quantiser_helps_where_kernels_take_no_lowest_weight(tmp_path: Path) -> None:
    onnx.save(model(*the_lowest_weight()), tmp_path / "theirs.onnx")
    network, isa, lowest = read(tmp_path / "theirs.onnx"), ISAS["neon"], [-128]

    def attempt() -> None:
        onnx.save(network.quantised(Scheme.ASYM, lowest_weight=lowest[-1]).model, tmp_path / "made.onnx")
        lower(import_graph(tmp_path / "made.onnx"), isa)

    words = "or from the file that its quantiser wrote: such weights are then split"
    check_advice(words, attempt, lambda: lowest.append(isa.lowest_weight), TargetError)
