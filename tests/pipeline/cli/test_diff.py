"""edgec diff: its verdicts, exit codes and files."""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from benchmarks.planted.planters import PLANTERS
from pipeline.cli.app import run
from pipeline.difference.side import graph_logits
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from tests.pipeline.difference.small_pair import Pair, small_pair


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return small_pair(tmp_path_factory.mktemp("plain"), ("w8a8_asym_mse_bc",), resizes=False)


@pytest.fixture
def folder(plain: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(plain.float_model, "a.onnx")
    onnx.save(plain.quantised["w8a8_asym_mse_bc"], "b.onnx")
    faulty = onnx.ModelProto()
    faulty.CopyFrom(plain.quantised["w8a8_asym_mse_bc"])
    PLANTERS["bgr"][1](faulty, np.random.default_rng(0))
    onnx.save(faulty, "bgr.onnx")
    Path("pictures").mkdir()
    for number, picture in enumerate(plain.pictures):
        cv2.imwrite(f"pictures/{number}.png", picture[:, :, ::-1])
    np.save("logits.npy", graph_logits(plain.float_model, plain.pictures))
    return tmp_path


def compared(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, DifferenceReport]:
    code = run(["diff", *words, "--image", "pictures", "--json"])
    return code, DifferenceReport.model_validate_json(capsys.readouterr().out)


@pytest.mark.usefixtures("folder")
def test_a_network_and_itself_have_the_same_bits(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = compared(capsys, "a.onnx", "a.onnx")
    assert (code, found.verdict) == (0, Sameness.IDENTICAL)


@pytest.mark.usefixtures("folder")
def test_a_network_and_its_rounded_form_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = compared(capsys, "a.onnx", "b.onnx")
    assert (code, found.verdict, found.faults) == (0, Sameness.ROUNDING, ())


def test_a_fault_is_shown_with_what_removes_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "a.onnx", "bgr.onnx", "--image", "pictures", "--html", "why.html"]) == 1
    shown = " ".join(capsys.readouterr().out.split())
    assert "channel order of the picture" in shown
    assert "red from blue, blue from red" in shown
    page = (folder / "why.html").read_text()
    assert "red from blue, blue from red" in page
    assert "Which tensors matter" in page


@pytest.mark.usefixtures("folder")
def test_equal_faults_are_reported_once_with_all_their_places(
    plain: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    coarse = onnx.ModelProto()
    coarse.CopyFrom(plain.quantised["w8a8_asym_mse_bc"])
    scales = {node.input[1] for node in coarse.graph.node if node.op_type == "QuantizeLinear"}
    for one in coarse.graph.initializer:
        if one.name in scales:
            one.CopyFrom(onnx.numpy_helper.from_array(50 * onnx.numpy_helper.to_array(one), one.name))
    onnx.save(coarse, "coarse.onnx")
    _, found = compared(capsys, "a.onnx", "coarse.onnx")
    most = max(found.equal_faults(), key=lambda equal: len(equal.others))
    assert len(most.others) > 2
    assert sum(1 + len(equal.others) for equal in found.equal_faults()) == len(found.faults)

    assert run(["diff", "a.onnx", "coarse.onnx", "--image", "pictures", "--html", "why.html"]) == 1

    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count(most.first.remedy) == 1
    assert f"The same at {len(most.others)} more places: {most.others[0].place}" in shown
    page = Path("why.html").read_text()
    assert all(f"<li><code>{one.place}</code>" in page for one in most.others)


@pytest.mark.usefixtures("folder")
def test_recorded_logits_are_compared_by_their_values(capsys: pytest.CaptureFixture[str]) -> None:
    logits = np.load("logits.npy")
    np.save("shares.npy", np.exp(logits) / np.exp(logits).sum(1, keepdims=True))

    same, _ = compared(capsys, "a.onnx", "logits.npy")
    code, found = compared(capsys, "a.onnx", "shares.npy")

    assert (same, code) == (0, 1)
    assert [fault.kind for fault in found.faults] == ["output function"]


def test_recorded_logits_are_of_the_evaluation_images_in_their_order(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They were compared with a sample of the images, so sound ones were called different."""
    from pipeline.data.embedded import EMBEDDED
    from pipeline.data.open import open_dataset
    from targets.runtime.preprocess import Preprocessing

    model = next(out.glob("*.edgec")).with_suffix("") / "model.onnx"
    split = open_dataset(EMBEDDED).split("evaluation").subset(range(40))
    images = np.concatenate([batch.images for batch in split.readable(Preprocessing(32, 32, 1), 64)])
    np.save(tmp_path / "logits.npy", graph_logits(onnx.load(model), images))

    code = run(["diff", str(model), str(tmp_path / "logits.npy"), "--images", "8", "--json"])

    found = DifferenceReport.model_validate_json(capsys.readouterr().out)
    assert (code, found.verdict) == (0, Sameness.IDENTICAL)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("factor", "code"), [(1, 0), (30_000, 1)])
def test_a_file_of_half_precision_that_overflows_is_not_the_same(
    factor: float, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its copy in float32, which is looked into, agrees well."""
    sound, half = onnx.load("a.onnx"), onnx.load("a.onnx")
    for at, tensor in enumerate(sound.graph.initializer):
        value = onnx.numpy_helper.to_array(tensor) * np.float32(factor if "stem" in tensor.name else 1)
        tensor.CopyFrom(onnx.numpy_helper.from_array(value.astype(np.float32), tensor.name))
        half.graph.initializer[at].CopyFrom(
            onnx.numpy_helper.from_array(value.astype(np.float16), tensor.name)
        )
    next(node for node in half.graph.node if node.op_type == "Cast").attribute[0].i = onnx.TensorProto.FLOAT16
    half.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    onnx.save(sound, "sound.onnx")
    onnx.save(half, "half.onnx")

    found_code, found = compared(capsys, "sound.onnx", "half.onnx")

    assert found_code == code
    assert [(fault.kind, fault.place) for fault in found.faults] == [("half precision", "stem")] * code
    for fault in found.faults:
        assert fault.tried is not None
        assert fault.tried.after_db > 50


def test_a_bundle_and_the_folder_of_its_build_are_the_same(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bundle,) = out.glob("*.edgec")
    build = bundle.with_suffix("")
    few = ["--images", "8", "--json"]

    same = run(["diff", str(build), str(bundle), *few])
    identical = DifferenceReport.model_validate_json(capsys.readouterr().out)
    rounded = run(["diff", str(build / "model.onnx"), str(build), *few])
    found = DifferenceReport.model_validate_json(capsys.readouterr().out)

    assert (same, identical.verdict) == (0, Sameness.IDENTICAL)
    assert (rounded, found.verdict, found.notes) == (0, Sameness.ROUNDING, ())


def test_a_checkpoint_and_its_export_are_the_same(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pipeline.data.embedded import EMBEDDED

    (bundle,) = out.glob("*.edgec")
    exported = bundle.with_suffix("") / "model.onnx"
    weights = EMBEDDED / "resnet20_fashion.safetensors"

    code = run(["diff", str(weights), str(exported), "--images", "8", "--json"])
    found = DifferenceReport.model_validate_json(capsys.readouterr().out)

    assert (code, found.faults) == (0, ())
    assert found.verdict in (Sameness.IDENTICAL, Sameness.ARITHMETIC)
    assert "resnet20-fashion with 10 classes in torch" in found.notes[0]


def test_a_debug_build_has_every_number_that_is_defined(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from targets.tvm.cpu_target import compile_engine, host_isa

    build = folder / "build"
    build.mkdir()
    (folder / "b.onnx").rename(build / "model.int8.onnx")
    compile_engine(build / "model.int8.onnx", host_isa(), build / "model.engine")

    code, found = compared(capsys, "a.onnx", "build", "--every-tensor")

    assert (code, found.verdict) == (0, Sameness.ROUNDING)
    assert any("every number of" in note and "debug build" in note for note in found.notes), found.notes


@pytest.mark.usefixtures("folder")
def test_networks_of_other_sizes_are_not_comparable(capsys: pytest.CaptureFixture[str]) -> None:
    other = onnx.load("a.onnx")
    other.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 48
    onnx.save(other, "large.onnx")
    code, found = compared(capsys, "a.onnx", "large.onnx")
    assert (code, found.verdict) == (4, Sameness.NOT_COMPARABLE)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a.onnx", "nothing.onnx"), "nothing.onnx"),
        (("a.onnx", "damaged.onnx"), "is not a valid ONNX model"),
        (("a.onnx", "pipe.onnx"), "pipe.onnx"),
        (("a.onnx", "pipe.npy"), "is not a file of recorded logits"),
        (("a.onnx", "claims.npy"), "cannot be read as recorded logits"),
        (("a.onnx", "pictures/0.png"), "is not something to compare"),
        (("logits.npy", "logits.npy"), "Give at least one network"),
        (("a.onnx", "words.npy"), "not as an array of numbers"),
        (("a.onnx", "few.npy"), "has logits of 2 pictures"),
        (("a.onnx", "flat.npy"), "recorded logits are numbers"),
        (("a.onnx", "empty.npy"), "cannot be read as recorded logits: it is not an npy array"),
        (("a.onnx", "zip.npy"), "cannot be read as recorded logits: it is not an npy array"),
        (("a.onnx", "nan.npy"), "the logits of image 1 are not all finite numbers"),
        (("a.onnx", "scrap.tflite"), "scrap.tflite is not a .tflite file"),
        (("a.onnx", "scrap.pt"), "scrap.pt"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_advice(
    words: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("words.npy", np.array([["a", "b"]]))
    np.save("flat.npy", np.zeros(7, np.float32))
    Path("empty.npy").touch()
    with Path("zip.npy").open("wb") as file:
        np.savez(file, logits=np.zeros((9, 6)))
    np.save("nan.npy", np.where(np.arange(8)[:, None] == 1, np.nan, np.zeros((8, 6))))
    os.mkfifo("pipe.onnx")
    os.mkfifo("pipe.npy")
    Path("damaged.onnx").write_bytes(Path("a.onnx").read_bytes()[:500])
    with Path("claims.npy").open("wb") as file:
        claim = {"descr": "<f4", "fortran_order": False, "shape": (900_000_000_000, 6)}
        np.lib.format.write_array_header_1_0(file, claim)
    np.save("few.npy", np.load("logits.npy")[:2])
    for name in ("scrap.tflite", "scrap.pt"):
        Path(name).write_bytes(b"scrap that nobody reads")
    assert run(["diff", *words, "--image", "pictures"]) in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_without_pictures_it_says_which_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["diff", "a.onnx", "b.onnx"]) == 2
    assert "24x24x3" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_the_json_form_is_a_record_that_can_be_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    _, found = compared(capsys, "a.onnx", "bgr.onnx")
    assert json.loads(found.to_json())["schema_version"] == 1
    assert found.logits is not None
    assert found.logits.pictures == 8
