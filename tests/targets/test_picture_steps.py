"""Each step that is timed does with a picture what the code that ships does."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from torch import nn

from targets.picture_steps import DECODE, FIT, INFER, WHOLE, PictureSteps, open_engine
from targets.reference import ReferenceTarget
from targets.runtime.preprocess import Preprocessing

PREPROCESSING = Preprocessing(32, 32, 3, "crop")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from pipeline.models.resnet import FromPixels
    from pipeline.stages.export import write_onnx

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    path = tmp_path_factory.mktemp("engine") / "model.onnx"
    write_onnx(FromPixels(network, (0.3,) * 3, (0.4,) * 3).eval(), (32, 32, 3), True, path)
    return path


@pytest.fixture
def photos() -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, 90, 3), np.uint8) for side in (60, 120)]


def steps(
    folder: Path, engine: Path, stored: list[NDArray[np.uint8]], encoded: bool, classes: int = 10
) -> PictureSteps:
    np.savez(folder / "pictures.npz", *stored)
    return PictureSteps(
        pictures=folder / "pictures.npz",
        encoded=encoded,
        preprocessing=PREPROCESSING.as_dict(),
        runner=ReferenceTarget.runner,
        engine=engine,
        classes=classes,
    )


def done(made: PictureSteps, step: str, runs: int, folder: Path) -> list[Any]:
    with open_engine(made.save(folder / f"{step}.json", step)) as runner:
        return [runner.infer(np.zeros((1, 1, 1, 1), np.uint8)) for _ in range(runs)]


@pytest.mark.parametrize("encoded", [True, False])
def test_the_steps_are_those_of_the_bundle(
    encoded: bool, engine: Path, photos: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """PNG keeps every pixel, so that each step can be compared with what is known."""
    files = [np.asarray(cv2.imencode(".png", photo[:, :, ::-1])[1], np.uint8).ravel() for photo in photos]
    made = steps(tmp_path, engine, files if encoded else photos, encoded)
    preprocessed = [PREPROCESSING(photo) for photo in photos]
    for found, photo in zip(done(made, DECODE, 3, tmp_path), [*photos, photos[0]], strict=True):
        np.testing.assert_array_equal(found, photo)  # the first comes again after the last
    for found, pixels in zip(done(made, FIT, 2, tmp_path), preprocessed, strict=True):
        np.testing.assert_array_equal(found, pixels)
    with ReferenceTarget().open(engine) as runner:
        logits = runner.infer(np.stack(preprocessed))
    np.testing.assert_allclose(np.concatenate(done(made, INFER, 2, tmp_path)), logits, rtol=1e-5)
    for best, expected in zip(done(made, WHOLE, 2, tmp_path), logits, strict=True):
        assert [int(name) for name, _ in best] == np.argsort(-expected)[:5].tolist()


def test_of_a_network_that_classifies_pixels_the_answer_is_the_class_of_each(
    engine: Path, photos: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    """Ten logits are two classes of five pixels; an engine gives them flat."""
    made = steps(tmp_path, engine, photos, encoded=False, classes=2)
    with ReferenceTarget().open(engine) as runner:
        logits = runner.infer(np.stack([PREPROCESSING(photo) for photo in photos]))
    for found, expected in zip(done(made, WHOLE, 2, tmp_path), logits, strict=True):
        np.testing.assert_array_equal(found, expected.reshape(2, 5).argmax(0))
