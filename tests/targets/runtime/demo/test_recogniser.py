"""The demo classifies by libedgec: pictures of any size, several cameras at once."""

import threading
from pathlib import Path

import numpy as np
import pytest

from targets.runtime.classify import NoAnswer, likeliest
from targets.runtime.demo import recogniser as recogniser_module
from targets.runtime.demo.recogniser import Engine, Recogniser
from targets.runtime.native_runner import open_engine
from targets.runtime.preprocess import Preprocessing
from targets.tvm.cpu_target import host_isa
from tests.targets.runtime.libedgec.tiny_networks import write_network

FITTING = Preprocessing(24, 20, 3)

CLASSES = tuple("abcdefg")


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write_network(tmp_path, host_isa())


def test_each_camera_gets_the_classes_of_the_shared_preprocessing_and_engine(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((48, 64), (720, 1280), (31, 9))]
    with open_engine(engine) as runner:
        wanted = [likeliest(runner.infer(FITTING(one)[None])[0], CLASSES, 3) for one in pictures]

    def elsewhere(name: str) -> object:
        raise AssertionError(f"{name} ran, and not libedgec")

    monkeypatch.setattr(recogniser_module, "find_runner", elsewhere)
    found: dict[int, list[list[tuple[str, float]]]] = {}
    with Recogniser({"int8": Engine("native_runner", engine)}, CLASSES, FITTING) as recogniser:

        def run(camera: int) -> None:
            classify = recogniser.for_camera()
            found[camera] = [classify(one).classes for one in pictures * 5]

        threads = [threading.Thread(target=run, args=(camera,)) for camera in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == dict.fromkeys(range(3), wanted * 5)


def test_a_picture_larger_than_libedgec_takes_has_no_answer(engine: Path) -> None:
    with Recogniser({"int8": Engine("native_runner", engine)}, CLASSES, FITTING) as recogniser:
        classify = recogniser.for_camera()
        with pytest.raises(NoAnswer, match="up to 16384 are allowed"):
            classify(np.zeros((1, 16385, 3), np.uint8))
        assert classify(np.zeros((4, 4, 3), np.uint8)).classes
