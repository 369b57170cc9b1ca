"""INT8 coverage counts multiply-accumulates, not layers."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.coverage import coverage
from pipeline.build.plan import Build
from pipeline.report.model.float_layers import Coverage, LayerTimes, TimedLayer, slowest_in_float
from pipeline.report.sections.int8_coverage import in_float
from targets.base import Origin
from targets.tvm.cpu_target import HostTarget
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
def build(quick: Path, quick_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    return embedded_build(quick, shutil.copytree(quick_build, tmp_path_factory.mktemp("coverage") / "out"))


def test_a_float_model_has_none(build: Build) -> None:
    found = coverage(build.float_model.path)
    assert (found.int8_macs, found.total_macs) == (0, STEM + sum(STAGES) + CLASSIFIER)
    assert [name.rpartition("/")[2] for name in found.float_layers[:20]] == [*["Conv"] * 19, "Gemm"]
    assert "Add" in {name.rpartition("/")[2] for name in found.float_layers[20:]}


def test_all_of_w8a8_asym_is_int8(build: Build) -> None:
    found = coverage(build.int8_model.path)
    assert found.int8_macs == found.total_macs == STEM + sum(STAGES) + CLASSIFIER
    assert found.float_layers == ()


def test_w8a8_sym_leaves_the_classifier_in_float(quick: Path, warm_out: Path) -> None:
    build = embedded_build(quick, warm_out, recipe="w8a8_sym")
    found = coverage(build.int8_model.path)
    assert found.total_macs - found.int8_macs == CLASSIFIER
    assert len(found.float_layers) == 1


def norm_behind_add(folder: Path) -> Path:
    """A convolution, its sum with itself, and a norm behind that as exporters write it: Sub, Mul, Add."""
    rng = np.random.default_rng(0)
    value = {
        "w": rng.integers(-127, 127, (4, 3, 3, 3)).astype(np.int8),
        "ws": np.full(4, 0.01, np.float32),
        "wz": np.zeros(4, np.int8),
        "s": np.float32(0.1),
        "z": np.uint8(3),
        "mean": np.full((4, 1, 1), 0.5, np.float32),
        "scale": np.full((4, 1, 1), 2.0, np.float32),
        "shift": np.full((4, 1, 1), 0.1, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Transpose", ["image"], ["pixels"], "turn", perm=[0, 3, 1, 2]),
        node("DequantizeLinear", ["pixels", "s", "z"], ["x"], "dq_x"),
        node("DequantizeLinear", ["w", "ws", "wz"], ["weight"], "dq_w", axis=0),
        node("Conv", ["x", "weight"], ["y"], "conv"),
        node("QuantizeLinear", ["y", "s", "z"], ["yq"], "q_y"),
        node("DequantizeLinear", ["yq", "s", "z"], ["yd"], "dq_y"),
        node("Add", ["yd", "yd"], ["sum"], "add"),
        node("Relu", ["sum"], ["positive"], "relu"),
        node("QuantizeLinear", ["positive", "s", "z"], ["sq"], "q_sum"),
        node("DequantizeLinear", ["sq", "s", "z"], ["sd"], "dq_sum"),
        node("Sub", ["sd", "mean"], ["centred"], "norm_sub"),
        node("Mul", ["centred", "scale"], ["scaled"], "norm_mul"),
        node("Add", ["scaled", "shift"], ["normed"], "norm_add"),
        node("GlobalAveragePool", ["normed"], ["pooled"], "pool"),
        node("Flatten", ["pooled"], ["logits"], "flat"),
    ]
    graph = helper.make_graph(
        nodes,
        "norm",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in value.items()],
    )
    path = folder / "norm.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_norm_written_as_sub_mul_and_add_is_counted_though_it_has_no_weights(tmp_path: Path) -> None:
    found = coverage(norm_behind_add(tmp_path))
    assert found.int8_macs == found.total_macs
    assert found.float_layers == ("norm_sub", "norm_mul", "norm_add", "pool")


def test_what_the_report_of_an_engine_names_is_what_it_computes_in_float(tmp_path: Path) -> None:
    """A layer is named if, and only if, it takes time in float."""
    engine = tmp_path / "model.engine"
    HostTarget().build(norm_behind_add(tmp_path), engine)
    times = [asdict(layer) for layer in HostTarget().layer_times(engine, np.zeros((8, 8, 3), np.uint8))]
    timed = LayerTimes(origin=Origin.HOST, layers=tuple(TimedLayer(**layer) for layer in times))
    assert timed.int8_share < 1
    assert set(slowest_in_float(timed)) == set(HostTarget().float_layers(engine)) != set()
    assert "Sub" in str(HostTarget().float_layers(engine))
    found = Coverage(int8_macs=1, total_macs=1, float_layers=slowest_in_float(timed), times=timed)
    assert "in float, " in in_float(found)
