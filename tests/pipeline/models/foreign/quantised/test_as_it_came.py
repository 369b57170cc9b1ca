"""The comparison of a rewritten network with the file as it came, as a build makes it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from calibration.scheme import Scheme
from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.models.foreign.original import Original
from pipeline.progress import Silent
from targets.runtime.exact.session import open_session
from tests.pipeline.data.pictures import png, write_folder
from tests.pipeline.models.foreign.quantised.forms import Constants, integers, node, one_convolution, rounded
from tests.pipeline.models.foreign.quantised.others import (
    as_it_came,
    decibels,
    model,
    model_of,
    normalised,
    pictures,
    read,
    written_anew,
)

SAID = 'mean = [0.485, 0.456, 0.406]\nstd = [0.229, 0.224, 0.225]\nfit = "stretch"\n'


def mean_of_few_steps() -> onnx.ModelProto:
    """It ends in the mean of four values on a coarse grid, as torch writes `x.mean((2, 3))`: often a half."""
    constants: Constants = {"w": integers((10, 3, 16, 16), -31, 31), "w_s": np.array(0.002, np.float32)}
    nodes = [
        *rounded("input", "x", 0.02, 120, constants),
        node("DequantizeLinear", ["w", "w_s"], ["w_dq"]),
        node("Conv", ["x", "w_dq"], ["c"], strides=[16, 16]),
        *rounded("c", "y", 0.45, -15, constants, np.int8),
        node("ReduceMean", ["y"], ["a"], axes=[2, 3], keepdims=1),
        *rounded("a", "z", 0.45, -15, constants, np.int8),
        node("Flatten", ["z"], ["output"]),
    ]
    return model(nodes, constants)


def test_halves_that_fused_means_round_otherwise_do_not_stop_a_build(tmp_path: Path) -> None:
    """onnxruntime fuses the mean of the rewritten network, and not that of the file."""
    onnx.save(mean_of_few_steps(), tmp_path / "theirs.onnx")
    (tmp_path / "theirs.toml").write_text(SAID)
    shown = pictures(40, seed=3)
    files = {f"{'test' if n < 30 else 'train'}/{n % 10}/{n}.png": png(one) for n, one in enumerate(shown)}
    write_folder(tmp_path / "data", files)
    anew = open_session(read(tmp_path / "theirs.onnx").quantised(Scheme.ASYM).model.SerializeToString())
    fused = anew.run(["logits"], {"image": shown[:30]})[0]
    assert decibels(as_it_came(tmp_path / "theirs.onnx", normalised(shown[:30])), fused) < 20
    chosen = {"model": str(tmp_path / "theirs.onnx"), "data": tmp_path / "data", "target": "reference"}
    made = Build(load_config(BuildConfig, None, chosen | {"out": tmp_path / "out"}), Silent())
    (found,) = (check.message for check in made.lasting_report.load().checks if check.name == "as it came")
    assert found.endswith("outputs equal, without fused operators")


def in_half_precision() -> onnx.ModelProto:
    """A network whose layers have float16 around them."""
    nodes, constants = one_convolution(integers((16, 3, 3, 3), -127, 127), 0.004)
    made = model([node("Cast", ["given"], ["input"], to=TensorProto.FLOAT16), *nodes], constants, opset=19)
    made.graph.input[0].name = "given"
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    for one in made.graph.initializer:
        if one.data_type == TensorProto.FLOAT:
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one).astype(np.float16), one.name))
    return made


def test_a_file_in_half_precision_is_compared_without_its_rounding(tmp_path: Path) -> None:
    """A sum that half precision rounds falls on the other step, and the file seemed to be another network."""
    path = tmp_path / "theirs.onnx"
    onnx.save(in_half_precision(), path)
    shown = pictures(16, seed=3)
    found = written_anew(read(path), shown, Scheme.SYM)
    original = Original(model_of(path))
    assert decibels(np.stack([original.infer(one) for one in shown]), found) > 100
    assert decibels(as_it_came(path, normalised(shown)), found) < 60
