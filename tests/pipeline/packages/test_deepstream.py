"""DeepStream's settings, computed by onnxruntime as DeepStream's documentation says that nvinfer computes."""

import configparser
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.packages.deepstream import part_of_frame
from pipeline.packages.write import write_packages
from targets.runtime.preprocess import Preprocessing, decode
from tests.pipeline.packages.conftest import CROP, MakeBundle
from tests.targets.tensorrt.conftest import SHAPE


@pytest.fixture
def package(make_bundle: MakeBundle, tmp_path: Path) -> Path:
    (folder,) = write_packages(make_bundle(), ["deepstream"], tmp_path / "out")
    return folder


def settings(file: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read_string(file.read_text())
    return found


def as_nvinfer(picture: Path, file: Path) -> NDArray[np.float32]:
    """What nvinfer hands over for a frame of the network's size: net-scale-factor * (pixel - offset)."""
    keys = settings(file)["property"]
    assert keys["network-input-order"] == "0"  # NCHW
    frame = decode(picture.read_bytes(), SHAPE[2])
    frame = {"0": frame, "1": frame[:, :, ::-1]}[keys["model-color-format"]]  # RGB, BGR
    offsets = np.array([float(part) for part in keys.get("offsets", "0;0;0").split(";")], np.float32)
    scaled = np.float32(keys["net-scale-factor"]) * (frame.astype(np.float32) - offsets)
    assert [int(part) for part in keys["infer-dims"].split(";")] == [SHAPE[2], *SHAPE[:2]]
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


@pytest.mark.parametrize("graph", ["model_flags.onnx", "model_typed.onnx"])
def test_what_nvinfer_computes_gives_the_golden_logits(package: Path, graph: str) -> None:
    listed = json.loads((package / "golden" / "golden.json").read_text())
    model = onnx.load(package / "build" / graph)
    (output,) = model.graph.output
    assert output.name == settings(package / "nvinfer.txt")["property"]["output-blob-names"]
    logits = onnx.ValueInfoProto(name="logits")
    model.graph.output.append(logits)  # to look at; the package's graph has probabilities alone
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert listed["images"] == 4
    for number in range(listed["images"]):
        tensor = as_nvinfer(package / "golden" / f"{number}.png", package / "nvinfer.txt")
        probabilities, found = session.run(["probabilities", "logits"], {"image": tensor})
        golden = np.frombuffer((package / "golden" / f"{number}.logits").read_bytes(), "<f4")
        if graph == "model_flags.onnx":
            assert np.array_equal(found[0], golden)
        assert np.allclose(found[0], golden, atol=5e-3)  # its float layers are FP16
        assert np.allclose(probabilities[0], softmax(found[0]), atol=1e-6)
        exact = np.frombuffer((package / "golden" / f"{number}.input").read_bytes(), np.uint8).reshape(SHAPE)
        assert np.array_equal(tensor[0].transpose(1, 2, 0), exact)


def test_nvdspreprocess_makes_the_tensor_that_nvinfer_takes(package: Path) -> None:
    keys, other = settings(package / "nvdspreprocess.txt"), settings(package / "nvinfer.txt")["property"]
    assert keys["property"]["network-input-shape"] == f"{other['batch-size']};{other['infer-dims']}"
    assert keys["property"]["network-color-format"] == other["model-color-format"]
    assert keys["property"]["target-unique-ids"] == other["gie-unique-id"]
    assert keys["property"]["tensor-data-type"] == "0"  # FP32: the stock library makes no other
    assert keys["property"]["tensor-name"] == "image"
    assert keys["user-configs"]["pixel-normalization-factor"] == other["net-scale-factor"] == "1.0"
    assert "/opt/nvidia/deepstream/" in keys["property"]["custom-lib-path"]


def test_a_missing_engine_is_not_built_in_fp16_silently(package: Path) -> None:
    assert "onnx-file" not in settings(package / "nvinfer.txt")["property"]
    builds = (package / "build_engine.sh").read_text()
    assert f"--plan {settings(package / 'nvinfer.txt')['property']['model-engine-file']}" in builds


def test_labels_are_one_line_in_which_a_semicolon_separates(package: Path) -> None:
    assert (package / "labels.txt").read_text() == "shirt;boot;bag;a,b;coat\n"


@pytest.mark.parametrize("fit", ["stretch", "letterbox", "pad", "crop"])
def test_proportions_are_kept_where_edgec_keeps_them(
    make_bundle: MakeBundle, tmp_path: Path, fit: str
) -> None:
    bundle = make_bundle(Preprocessing(*SHAPE, fit=fit))
    (folder,) = write_packages(bundle, ["deepstream"], tmp_path / "out")
    keeps = str(int(fit in ("letterbox", "pad")))
    for file in ("nvinfer.txt", "nvdspreprocess.txt"):
        assert settings(folder / file)["property"]["maintain-aspect-ratio"] == keeps
    parts = "roi-params-src-0" in settings(folder / "nvdspreprocess.txt")["group-0"]
    assert parts == (fit == "crop")


@pytest.mark.parametrize("resize", [0, 18, 24])
@pytest.mark.parametrize("size", [(1080, 1920), (600, 400), (97, 211)])
def test_the_part_of_a_frame_is_what_edgecs_crop_keeps(size: tuple[int, int], resize: int) -> None:
    """A frame whose pixels hold their own place shows after edgec's crop where its corners came from."""
    height, width = size
    steps = Preprocessing(16, 16, 3, fit="crop", resize=resize)
    left, top, wide, high = part_of_frame(steps.as_dict(), width, height)
    rows, columns = np.indices(size)
    places = np.stack([rows * 255 / height, columns * 255 / width, rows * 0], axis=2).astype(np.uint8)
    kept = steps(places).astype(float)
    low, end = kept[:, :, 0].min() * height / 255, kept[:, :, 0].max() * height / 255
    pixel = high / 16 + height / 255 * 1.5  # places are known up to that
    assert abs(low - top) <= pixel
    assert abs(end - (top + high)) <= pixel
    low, end = kept[:, :, 1].min() * width / 255, kept[:, :, 1].max() * width / 255
    pixel = wide / 16 + width / 255 * 1.5
    assert abs(low - left) <= pixel
    assert abs(end - (left + wide)) <= pixel
    assert abs(wide - high) <= pixel


def test_the_example_of_edgecs_own_resize_is_exact(package: Path) -> None:
    picture = decode((package / "golden" / "picture.png").read_bytes(), SHAPE[2])
    exact = (package / "golden" / "picture.input").read_bytes()
    assert CROP(picture).tobytes() == exact
