"""Quantised graphs run with settings that were seen to be exact on the processor at hand."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from calibration.errors import CalibrationError
from calibration.exact import session as calibration_session
from calibration.metrics import logits
from targets.errors import TargetUnavailable
from targets.reference import ReferenceTarget
from targets.runtime.exact import session
from targets.runtime.exact.canary import canary
from targets.runtime.exact.canary_layer import ACTIVATIONS
from targets.runtime.exact.session import (
    AS_WRITTEN,
    LADDER,
    NotExactError,
    exact_settings,
    is_quantised,
    wrong_layers,
)
from tests.conftest import ROOT


@pytest.mark.parametrize("threads", [1, 2])
def test_the_settings_that_are_taken_are_exact_here(threads: int) -> None:
    assert wrong_layers(exact_settings(threads), threads) == []


def test_as_written_is_exact_on_every_processor() -> None:
    assert wrong_layers(AS_WRITTEN, 1) == []


class Inexact:
    """Stands for onnxruntime on a processor where all sums of products saturate."""

    def __init__(self, inexact: set[str]) -> None:
        self.inexact = inexact

    def __call__(self, settings: session.SessionSettings, threads: int) -> list[str]:
        return ["conv3x3 of uint8"] if settings.words in self.inexact else []


@pytest.mark.parametrize("fast", range(len(LADDER)))
def test_the_next_slower_settings_are_taken_until_one_is_exact(
    fast: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "wrong_layers", Inexact({one.words for one in LADDER[:fast]}))
    assert exact_settings.__wrapped__(1) == LADDER[fast]


def test_a_target_whose_graphs_are_never_exact_is_not_available(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "wrong_layers", Inexact({one.words for one in LADDER}))
    with pytest.raises(NotExactError, match=r"computes quantised layers wrongly.*conv3x3 of uint8"):
        exact_settings.__wrapped__(1)
    monkeypatch.setattr("targets.reference.exact_settings", exact_settings.__wrapped__)
    with pytest.raises(TargetUnavailable, match="Use another version of onnxruntime"):
        ReferenceTarget().exactness()
    monkeypatch.setattr("targets.runtime.exact.session.exact_settings", exact_settings.__wrapped__)
    (tmp_path / "model.int8.onnx").write_bytes(canary(ACTIVATIONS[0]).model())
    with pytest.raises(TargetUnavailable, match="Use another version of onnxruntime"), ExitStack() as opened:
        opened.enter_context(ReferenceTarget().open(tmp_path / "model.int8.onnx"))


def test_the_report_names_the_settings() -> None:
    assert exact_settings(1).words in ReferenceTarget().exactness().message


def test_float_graphs_keep_onnxruntimes_own_settings(tmp_path: Path) -> None:
    model = canary(ACTIVATIONS[0]).model()
    assert is_quantised(model)
    (tmp_path / "q.onnx").write_bytes(model)
    assert is_quantised(tmp_path / "q.onnx")
    assert not is_quantised(_one_node("Relu", ["x"]))


def test_a_graph_that_onnxruntime_cannot_optimise_runs_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on x86 without VNNI, where x64quantprecision fails for layers that share a zero point."""
    opened, fails = onnxruntime.InferenceSession, onnxruntime.capi.onnxruntime_pybind11_state.Fail

    def only_as_written(given: bytes, options: onnxruntime.SessionOptions, **rest: object) -> object:
        if options.graph_optimization_level != onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL:
            raise fails("Attempt to replace the existing tensor")
        return opened(given, options, **rest)

    quantised = canary(ACTIVATIONS[0]).model()
    exact_settings(1)
    monkeypatch.setattr(onnxruntime, "InferenceSession", only_as_written)
    session.open_session(quantised)
    with pytest.raises(fails, match="existing tensor"):
        session.open_session(_one_node("Relu", ["x"]))
    monkeypatch.setattr(session, "wrong_layers", lambda _settings, _threads: ["c"])
    with pytest.raises(fails, match="existing tensor"):
        session.open_session(quantised)


def test_a_convolution_that_is_added_to_another_can_be_read_too() -> None:
    """onnxruntime's fusion takes the first one's result out of the graph, though it is an output."""
    weights = {
        "w": (48, 3, 3, 3),
        "a": (96, 1, 7, 7),
        "b": (96, 1, 3, 3),
        "last": (16, 96, 1, 1),
        "bias": (96,),
    }
    rng = np.random.default_rng(0)
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w"], ["maps"]),
        onnx.helper.make_node("Conv", ["maps", "a", "bias"], ["large"], group=48, pads=[3, 3, 3, 3]),
        onnx.helper.make_node("Conv", ["maps", "b", "bias"], ["small"], group=48, pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Add", ["large", "small"], ["sum"]),
        onnx.helper.make_node("Relu", ["sum"], ["bent"]),
        onnx.helper.make_node("Conv", ["bent", "last"], ["y"]),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes,
        "added",
        [value("x", onnx.TensorProto.FLOAT, [1, 3, 16, 16])],
        [value(name, onnx.TensorProto.FLOAT, None) for name in ("y", "large")],
        [onnx.numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in weights.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    given = {"x": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)}
    found, as_written = (
        session.open_session(model.SerializeToString(), settings=settings).run(None, given)
        for settings in (None, AS_WRITTEN)
    )
    for one, other in zip(found, as_written, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_weights_alone_make_a_graph_quantised_too() -> None:
    assert is_quantised(_one_node("DequantizeLinear", ["x", "x"]))


def _one_node(operator: str, read: list[str]) -> bytes:
    node = onnx.helper.make_node(operator, read, ["y"])
    value = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "graph", value[:1], value[1:])
    return bytes(onnx.helper.make_model(graph).SerializeToString())


def test_calibration_says_so_where_nothing_is_exact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error for users, not a traceback: calibration knows the same definition by its own name."""

    def never(threads: int) -> None:  # noqa: ARG001
        raise calibration_session.NotExactError("wrong here. Use another version of onnxruntime.")

    monkeypatch.setattr(calibration_session, "exact_settings", never)
    with pytest.raises(CalibrationError, match="Use another version of onnxruntime"):
        logits(_one_layer(tmp_path), [np.zeros((1, 8, 8, 4), np.uint8)])


EMULATED = """
import json
from targets.runtime.exact.session import LADDER, exact_settings, wrong_layers
print(json.dumps([wrong_layers(LADDER[0], 1), LADDER.index(exact_settings(1))]))
"""


@pytest.mark.parametrize("processor", ["Haswell", "EPYC-Rome"])
def test_on_x86_without_vnni_the_fastest_settings_are_wrong_and_not_taken(processor: str) -> None:
    """The genuine onnxruntime, on a processor with AVX2 alone, in the emulator."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None or os.uname().machine != "x86_64":
        pytest.skip("needs qemu-x86_64 (Debian's qemu-user) and x86-64's onnxruntime")
    command = [emulator, "-cpu", processor, sys.executable, "-c", EMULATED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    wrong, taken = json.loads(done.stdout)
    for activation in ("uint8 around 0", "uint8 around 128", "int8 around 0"):
        for layer in ("conv3x3", "conv1x1", "grouped", "gemm", "matmul"):
            assert f"{layer} of {activation}" in wrong
    assert "conv3x3_relu of uint8 around 0" in wrong
    assert taken == 1


@pytest.mark.parametrize("processor", ["Haswell"])
def test_calibration_judges_a_quantised_graph_exactly_there_too(processor: str, tmp_path: Path) -> None:
    """One layer with the largest weights: its logits are those of the graph as it is written."""
    emulator = shutil.which("qemu-x86_64")
    if emulator is None or os.uname().machine != "x86_64":
        pytest.skip("needs qemu-x86_64 (Debian's qemu-user) and x86-64's onnxruntime")
    path = _one_layer(tmp_path)
    image = np.full((1, 8, 8, 4), 255, np.uint8)
    np.save(tmp_path / "image.npy", image)
    code = (
        "import sys, numpy as np; from pathlib import Path; from calibration.metrics import logits;"
        "print(*logits(Path(sys.argv[1]), [np.load(sys.argv[2])]).ravel())"
    )
    command = [
        emulator,
        "-cpu",
        processor,
        sys.executable,
        "-c",
        code,
        str(path),
        str(tmp_path / "image.npy"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    expected = logits(path, [image], as_written=True)
    np.testing.assert_allclose(np.array(done.stdout.split(), np.float32), expected.ravel(), rtol=1e-6)


def _one_layer(folder: Path) -> Path:
    """Image, convolution of 4 channels with weights of 127, mean: a model of edgec's form."""
    make, tensor = onnx.helper.make_node, onnx.numpy_helper.from_array
    constants: dict[str, Any] = {
        "s": np.float32(1 / 16),
        "z": np.uint8(0),
        "w": np.full((8, 4, 3, 3), 127, np.int8),
        "ws": np.full(8, 1 / 16, np.float32),
        "wz": np.zeros(8, np.int8),
        "ys": np.float32(32),
    }
    nodes = [
        make("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        make("DequantizeLinear", ["x", "s", "z"], ["xf"]),
        make("DequantizeLinear", ["w", "ws", "wz"], ["wf"], axis=0),
        make("Conv", ["xf", "wf"], ["yf"]),
        make("QuantizeLinear", ["yf", "ys", "z"], ["y"]),
        make("DequantizeLinear", ["y", "ys", "z"], ["yd"]),
        make("GlobalAveragePool", ["yd"], ["mean"]),
        make("Flatten", ["mean"], ["logits"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "one",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 8, 8, 4])],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["N", 8])],
        [tensor(value, name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_a_session_is_opened_in_one_place() -> None:
    """Elsewhere a quantised graph could run with settings that nobody proved exact."""
    places = {
        path.relative_to(ROOT).as_posix()
        for folder in ("pipeline", "targets", "calibration", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "InferenceSession(" in path.read_text()
    }
    assert places == {
        "targets/runtime/exact/session.py",
        "pipeline/models/foreign/normal_form/known_shapes.py",  # shapes, no values
        "pipeline/models/foreign/normal_form/constant_planes.py",  # one float convolution of constants
        "pipeline/models/foreign/normal_form/sums_of_neighbours.py",  # float operators without weights
        "targets/tensorrt/fp8_reference.py",  # FP8, without optimisation: with it onnxruntime is wrong
        "pipeline/models/foreign/simplify.py",  # folds constants of float graphs, runs nothing
        "pipeline/models/foreign/norm_statistics.py",  # what float batch norms read
        "pipeline/units/float_canary.py",  # how a processor rounds floats, which is what it asks
        *PEERS,
    }


PEERS = {
    "benchmarks/peers/run_onnxruntime.py",  # as its users run it
    "benchmarks/peers/run_on_arm.py",  # the same
    "benchmarks/calibration_cost.py",  # the time that onnxruntime's own calibration takes
    "benchmarks/residual.py",  # a float graph
    "benchmarks/matrix/keras_graphs.py",  # the same
}
