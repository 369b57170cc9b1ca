"""Weights of -128, which edgec itself never writes but others do: in ordinary and in depthwise layers."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.errors import EngineError
from targets.reach.emulator import EmulatedRunner
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS, Isa
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from tests.targets.tvm.against_oracle import EMULATED, emulated, same_bits

SIDE, CHANNELS = 4, 32


def layer(name: str, x: Tensor, y: Tensor, weight: NDArray[np.int8], groups: int = 1, side: int = 3) -> Conv:
    window = (
        SlidingWindow((side, side), pad=(side // 2, side // 2)) if side == 3 else SlidingWindow((side, side))
    )
    multiplier = np.full(len(weight), 2.0**-14, np.float32)
    bias = np.zeros(len(weight), np.int32)
    real = y.height == 1
    return Conv(name, x, y, weight, bias, multiplier, window, groups, real=real)


def lowest_everywhere() -> IntegerGraph:
    image = Tensor("image in the arena", SIDE, SIDE, 3, (0,))
    first, second = (Tensor(name, SIDE, SIDE, CHANNELS, (255,)) for name in ("first", "second"))
    logits = Tensor("logits", 1, 1, 10, (0,))
    lowest = np.int8(-128)
    layers = (
        layer("dense", image, first, np.full((CHANNELS, 3, 3, 3), lowest)),
        layer("depthwise", first, second, np.full((CHANNELS, 1, 3, 3), lowest), CHANNELS),
        layer("last", second, logits, np.full((10, CHANNELS, SIDE, SIDE), lowest), side=SIDE),
    )
    return IntegerGraph((Image(image), *layers), image, logits)


def images() -> NDArray[np.uint8]:
    some = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    return np.concatenate([np.zeros_like(some), np.full_like(some, 255), some])


def infer(isa: Isa) -> NDArray[np.float32]:
    with tempfile.TemporaryDirectory() as folder:
        engine = Path(folder) / "engine"
        write_engine(lowest_everywhere(), isa, engine)
        if isa.signed:
            return EmulatedRunner(engine, EMULATED[isa.name]).infer(images())
        with open_engine(engine) as opened:
            return np.array(opened.infer(images()))


def test_this_machine_multiplies_with_them() -> None:
    same_bits(infer(host_isa()), oracle.run(lowest_everywhere(), images()))


@pytest.mark.parametrize("name", ["dotprod", "i8mm"])
def test_arm_multiplies_with_them_where_products_are_added_in_32_bits(name: str) -> None:
    same_bits(infer(emulated(name)), oracle.run(lowest_everywhere(), images()))


def test_where_two_products_are_added_in_16_bits_they_are_an_error_and_no_wrong_answer(
    tmp_path: Path,
) -> None:
    with pytest.raises(EngineError, match="dense: its weights hold -128; the kernels for neon take -127 and"):
        write_engine(lowest_everywhere(), ISAS["neon"], tmp_path / "engine")
