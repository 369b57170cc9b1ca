"""INT8 coverage counts multiply-accumulates, not layers."""

from pathlib import Path

import pytest

from calibration.coverage import coverage
from pipeline.build.plan import Build
from tests.conftest import embedded_build

# He et al. 2015, section 4.2: ResNet-20 on 32 x 32 images, here with one input channel
STEM = 32 * 32 * 9 * 1 * 16
STAGES = [
    6 * 32 * 32 * 9 * 16 * 16,
    16 * 16 * 9 * (16 * 32 + 5 * 32 * 32),
    8 * 8 * 9 * (32 * 64 + 5 * 64 * 64),
]
CLASSIFIER = 64 * 10


@pytest.fixture(scope="module")
def build(quick: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return embedded_build(quick, tmp_path_factory.mktemp("coverage"))


def test_a_float_model_has_none(build: Build) -> None:
    found = coverage(build.float_model.file("model.onnx"))
    assert (found.int8_macs, found.total_macs) == (0, STEM + sum(STAGES) + CLASSIFIER)
    assert len(found.float_layers) == 20


def test_all_of_w8a8_asym_is_int8(build: Build) -> None:
    found = coverage(build.int8_model.file("model.int8.onnx"))
    assert found.int8_macs == found.total_macs == STEM + sum(STAGES) + CLASSIFIER
    assert found.float_layers == ()


def test_w8a8_sym_leaves_the_classifier_in_float(quick: Path, tmp_path: Path) -> None:
    build = embedded_build(quick, tmp_path, recipe="w8a8_sym")
    found = coverage(build.int8_model.file("model.int8.onnx"))
    assert found.total_macs - found.int8_macs == CLASSIFIER
    assert len(found.float_layers) == 1
