"""Golden vectors: training, calibration, validation and the device turn a picture into the same bytes.

Each of the four is taken as it is used and stopped where the network would get the pixels.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

import pipeline.stages.answer as answer_stage
import pipeline.training.loop as training_loop
from pipeline.cache.product import Product
from pipeline.data.open import open_dataset
from pipeline.data.split import ShownNames
from pipeline.models.zoo import find_model
from pipeline.progress import Silent
from pipeline.stages.answer import AnswerImages
from pipeline.stages.artifacts import FloatModel
from pipeline.stages.bundle import Bundle
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from pipeline.stages.measure_latency import first_images
from pipeline.stages.report_files import ReportFiles
from pipeline.stages.sample import Samples
from pipeline.task import Task
from pipeline.training.held import HeldImages
from pipeline.training.settings import TrainConfig
from pipeline.training.trainer import Trainer
from targets.base import BuildState, EngineKind, EngineRunner
from targets.reference import ReferenceTarget
from targets.runtime.preprocess import Preprocessing, decode
from tests.pipeline.data.pictures import png, random_pixels
from tests.pipeline.golden.golden_pictures import CASES, GOLDEN, PICTURES, pictures
from tests.pipeline.report.samples import report

Digests = dict[str, str]
"""What became of each picture, by file name."""

EXPECTED: dict[str, Digests] = json.loads(GOLDEN.read_text())
each_case = pytest.mark.parametrize("case", EXPECTED)


def digests(images: NDArray[np.uint8]) -> Digests:
    """Digest images that came in the order of their pictures' names."""
    names = sorted(path.name for path in PICTURES.iterdir())
    assert len(images) == len(names)
    return {
        name: hashlib.sha256(image.tobytes()).hexdigest() for name, image in zip(names, images, strict=True)
    }


def golden_data(folder: Path, split: str) -> Path:
    """Make a data set whose split is the golden pictures, all of one class, and another class beside it."""
    shutil.copytree(PICTURES, folder / split / "golden")
    return folder


class Watcher:
    """Takes images in place of an engine and keeps them."""

    def __init__(self) -> None:
        self.seen: list[NDArray[np.uint8]] = []

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.seen.append(images)
        return np.zeros((len(images), 1), np.float32)


def product(folder: Path, name: str) -> Product:
    """A stage's output that is opened by a Watcher only."""
    (folder / name).write_bytes(name.encode())
    return Product("made up", "0" * 64, folder, {name: "0" * 64}, cached=False)


def made_up_engine(folder: Path) -> CompiledEngine:
    return CompiledEngine(product(folder, "engine.bin"), "engine.bin", "reference", "made up")


def test_the_committed_pictures_are_what_the_script_draws() -> None:
    """PNG keeps every pixel. A JPEG encoder may change, so only the names of JPEGs are compared."""
    drawn = pictures()
    assert {path.name for path in PICTURES.iterdir()} == set(drawn)
    for name in (name for name in drawn if name.endswith(".png")):
        assert np.array_equal(decode((PICTURES / name).read_bytes(), 3), decode(drawn[name], 3))


def test_the_golden_vectors_tell_pictures_and_cases_apart() -> None:
    assert set(EXPECTED) == set(CASES)
    # one picture has the target's size already, so all three fits leave it as it is
    found = [digest for case in EXPECTED.values() for name, digest in case.items() if name != "rgb_exact.png"]
    assert len(set(found)) == len(found)
    for channels in ("1", "3"):
        assert len({EXPECTED[f"{fit} {channels}"]["rgb_exact.png"] for fit in ("pad", "stretch")}) == 1


def test_the_orientation_of_a_camera_held_upright_is_applied() -> None:
    content = (PICTURES / "rgb_turned.jpg").read_bytes()
    exif = content.index(b"\xff\xe1")
    without = content[:exif] + content[exif + 2 + int.from_bytes(content[exif + 2 : exif + 4]) :]
    for channels in (1, 3):
        assert np.array_equal(decode(content, channels), np.rot90(decode(without, channels), k=-1))


@each_case
def test_training_sees_the_golden_bytes(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The images as held for training, before crops and flips."""

    class TrainingStopped(Exception):
        pass

    def stop(*arguments: object) -> None:
        (part,) = cast("list[HeldImages]", arguments[2])
        held.append(part.images.numpy())
        raise TrainingStopped

    held: list[NDArray[np.uint8]] = []
    data = golden_data(tmp_path / "data", "train")
    (other,) = random_pixels(1)
    (data / "calibration" / "golden").mkdir(parents=True)
    (data / "calibration" / "golden" / "other.png").write_bytes(png(other))
    model = replace(find_model("resnet20-fashion"), preprocessing=CASES[case], classes=None)
    monkeypatch.setattr(training_loop, "find_model", lambda _: model)
    monkeypatch.setattr(Trainer, "epoch", stop)
    config = TrainConfig(data=data, bf16="off", threads=1)
    with pytest.raises(TrainingStopped):
        training_loop.train(config, tmp_path / "run")
    assert digests(held[0]) == EXPECTED[case]


@each_case
def test_calibration_sees_the_golden_bytes(case: str, tmp_path: Path) -> None:
    split = open_dataset(golden_data(tmp_path, "calibration")).split("calibration")
    batches = ModelImages(split, CASES[case]).batches()
    assert digests(np.concatenate(list(batches))) == EXPECTED[case]


@each_case
def test_validation_shows_both_networks_the_golden_bytes(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp32, int8 = Watcher(), Watcher()

    @contextmanager
    def opened(_: ReferenceTarget, file: Path) -> Iterator[EngineRunner]:
        yield {"model.onnx": fp32, "engine.bin": int8}[file.name]

    monkeypatch.setattr(ReferenceTarget, "open", opened)
    monkeypatch.setitem(answer_stage.BATCHES, Task.CLASSIFY, 3)
    split = open_dataset(golden_data(tmp_path / "data", "test")).split("evaluation")
    stage = AnswerImages(
        FloatModel(product(tmp_path, "model.onnx")),
        made_up_engine(tmp_path),
        ModelImages(split, CASES[case]),
        ShownNames(split),
    )
    (tmp_path / "output").mkdir()
    stage.run(tmp_path / "output", Silent())
    assert digests(np.concatenate(fp32.seen)) == digests(np.concatenate(int8.seen)) == EXPECTED[case]


@each_case
def test_latency_is_measured_on_the_golden_bytes(case: str, tmp_path: Path) -> None:
    split = open_dataset(golden_data(tmp_path, "test")).split("evaluation")
    assert digests(first_images(ModelImages(split, CASES[case]), batch_size=1)) == EXPECTED[case]


ON_THE_DEVICE = """
import contextlib, hashlib, json, pathlib, sys, types
folder, *pictures = map(pathlib.Path, sys.argv[1:])
sys.path.insert(0, str(folder))
import numpy
import runtime.classify

seen = []

class Watcher:
    def infer(self, images):
        seen.append(hashlib.sha256(images[0].tobytes()).hexdigest())
        return numpy.zeros((len(images), 1), numpy.float32)

runner = types.ModuleType("runtime.watching_runner")
runner.open_engine = lambda path, threads: contextlib.nullcontext(Watcher())
sys.modules[runner.__name__] = runner
with contextlib.redirect_stdout(sys.stderr):
    assert runtime.classify.main(folder, list(map(str, pictures))) == 0
assert not {"pipeline", "targets", "calibration"} & set(sys.modules)
assert pathlib.Path(runtime.preprocess.__file__).is_relative_to(folder)
print(json.dumps(dict(zip([picture.name for picture in pictures], seen))))
"""


def unpacked_bundle(folder: Path, preprocessing: Preprocessing) -> Path:
    """Bundle a made-up engine, and unpack the bundle as a device's owner does."""
    names = "report.json", "report.html", "evaluation.npz"
    made_up = Product("made up", "0" * 64, folder, dict.fromkeys(names, "0" * 64), cached=False)
    report().save(folder / "report.json")
    (folder / "report.html").write_text("made up")
    np.savez(folder / "evaluation.npz", int8=np.zeros((1, 1), np.float32))
    engine = made_up_engine(folder)
    stage = Bundle(
        model="golden",
        engine=engine,
        runner="watching_runner",
        engine_kind=EngineKind.GRAPH,
        state=BuildState.BUILT,
        shipped=(engine.file_name,),
        report=ReportFiles(made_up),
        samples=Samples(made_up),
        classes=("golden",),
        preprocessing=preprocessing,
        settings="{}",
    )
    stage.run(folder, Silent())
    with tarfile.open(folder / stage.file_name) as tar:
        tar.extractall(folder / "device", filter="data")
    return folder / "device" / stage.top


@each_case
def test_the_device_classifies_the_golden_bytes(case: str, tmp_path: Path) -> None:
    """The bundle's own program in a process that knows nothing of the checkout."""
    bundle = unpacked_bundle(tmp_path, CASES[case])
    command = [sys.executable, "-I", "-c", ON_THE_DEVICE, str(bundle), *map(str, PICTURES.iterdir())]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == EXPECTED[case]
