"""Networks whose convolutions read 8 bits, and add or write 16."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from targets.tvm.integer_graph import Image, IntegerGraph
from targets.tvm.operators.convolution import Conv
from targets.tvm.operators.results_on_grids import UNCLIPPED, Clip, Residual
from targets.tvm.operators.sliding_window import SlidingWindow
from targets.tvm.tensors import Tensor
from tests.targets.tvm.extreme_convolutions import convolution
from tests.targets.tvm.wide_graphs import with_wide

SAME = SlidingWindow((3, 3), pad=(1, 1))


def network(x: Tensor, convolutions: Sequence[Conv], random: np.random.Generator) -> IntegerGraph:
    """An image, x made of it by a 1 x 1, the convolutions, a classifier."""
    image = Tensor("image", x.height, x.width, 3, (0, 100, 255))
    first = replace(convolution(image, x.channels, SlidingWindow(), random), output=x)
    last = convolutions[-1].output
    side = SlidingWindow((last.height, last.width))
    end = convolution(last, 7, side, random)
    end = replace(end, output=Tensor("logits", 1, 1, 7, (0,)), real=True)
    return IntegerGraph((Image(image), first, *convolutions, end), image, end.output)


@st.composite
def wide_residuals(draw: st.DrawFn) -> IntegerGraph:
    """Three 3 x 3 that read 8 bits. One writes a residual, one adds it: at least one of these has 16 bits."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = Tensor("x", draw(st.integers(2, 15)), draw(st.integers(2, 15)), draw(st.integers(1, 70)), (100,))
    channels, clip = draw(st.integers(1, 50)), draw(st.sampled_from([UNCLIPPED, Clip(30, 200)]))
    skip = convolution(x, channels, SAME, random)
    skip = replace(skip, node="skip", output=replace(skip.output, name="skip"))
    first = convolution(x, channels, SAME, random)
    last = convolution(first.output, channels, SAME, random)
    gain = last.multiplier * np.float32(draw(st.sampled_from([1.0, 1.0, 1e9])))
    last = replace(last, multiplier=gain, residual=Residual(skip.output, 0.7), clip=clip)
    names = draw(st.sampled_from([["skip"], [last.output.name], ["skip", last.output.name]]))
    graph = network(x, [skip, first, last], random)
    return with_wide(graph, {name: draw(st.sampled_from([0, 100])) for name in names})
