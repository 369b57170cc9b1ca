"""Engines for x86 without AVX, on such a processor in the emulator."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from targets.tvm.engine_file import write_engine
from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.isa import ISAS
from targets.tvm.kernels.depthwise import DepthwiseKernel
from targets.tvm.kernels.lookup import LookupKernel
from targets.tvm.kernels.winograd import WinogradKernel
from targets.tvm.lower import lower
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.element_by_element import Lookup
from targets.tvm.operators.results_on_grids import Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor


def network() -> IntegerGraph:
    """Each kind of convolution, a residual, and a function by table."""
    random = np.random.default_rng(0)

    def conv(x: Tensor, name: str, channels: int, window: SlidingWindow, groups: int = 1) -> Conv:
        weight = random.integers(-127, 128, (channels, x.channels // groups, *window.kernel)).astype(np.int8)
        gain = np.full(channels, 0.5 / (127 * weight[0].size ** 0.5), np.float32)
        output = Tensor(name, x.height, x.width, channels, (100,))
        return Conv(f"to {name}", x, output, weight, np.zeros(channels, np.int32), gain, window, groups)

    padded = SlidingWindow((3, 3), pad=(1, 1))
    image = Tensor("image", 9, 9, 3, (0, 100, 255))
    first = conv(image, "first", 40, SlidingWindow())
    second = conv(first.output, "second", 40, padded)
    second = Conv(
        *(second.node, second.input, second.output, second.weight, second.bias, second.multiplier, padded),
        residual=Residual(first.output, 0.7),
    )
    apart = conv(second.output, "apart", 40, padded, groups=40)
    table = Tensor("table", 9, 9, 40, (3,))
    looked_up = Lookup("table", apart.output, table, random.integers(0, 256, 256).astype(np.uint8))
    weight = random.integers(-127, 128, (5, 40, 9, 9)).astype(np.int8)
    logits, ones = Tensor("logits", 1, 1, 5, (0,)), np.ones(5, np.float32)
    side = SlidingWindow((9, 9))
    last = Conv("to logits", table, logits, weight, np.zeros(5, np.int32), ones, side, real=True)
    return IntegerGraph((Image(image), first, second, apart, looked_up, last), image, logits)


@pytest.mark.parametrize("processor", ["Nehalem"])
def test_an_engine_for_sse4_computes_the_oracles_bits_where_there_is_no_avx(
    processor: str, tmp_path: Path
) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("needs qemu-x86_64 (Debian's qemu-user)")
    graph, isa = network(), ISAS["sse4"]
    kernels = {type(step.kernel) for step in lower(graph, isa).steps}
    assert {WinogradKernel, DepthwiseKernel, LookupKernel} <= kernels
    write_engine(graph, isa, tmp_path / "engine")
    command = [emulator, "-cpu", processor, str(tmp_path / "engine"), "selftest"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "pass: 3 images" in done.stdout
