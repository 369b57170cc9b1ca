"""How much a change of each value in a float network changes its logits.

One backward pass a batch with a random direction u over the logits: E[(u . d logits / d x)^2] is the sum of
the squares of the derivatives of all logits (Hutchinson's estimator).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import prod

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.differentiable.kernel import Inputs, Outputs
from calibration.differentiable.torch_kernels import kernel_of
from calibration.onnx_graph import OnnxGraph
from calibration.replay import Replay
from calibration.tensor_sizes import tensor_sizes

AT_ONCE = 16
"""The most images in one pass."""
HELD_BYTES = 192 << 20
"""About as many bytes of values are held for the way back, if one image has not more."""

Visit = Callable[[str, Tensor, Tensor], None]
"""Is given a tensor's name, its values and u . d logits / d x, both float32 [n, ...]."""


def visit_gradients(
    graph: OnnxGraph, tensors: tuple[str, ...], batches: Iterable[NDArray[np.uint8]], count: int, visit: Visit
) -> Iterator[int]:
    """Show `visit` the gradients of `tensors` on the first `count` images; yield the size of each part.

    A gradient is forgotten once it has been shown. Tensors that no layer is in front of, or that no logit
    depends on, are left out. Raises ModelError for operators without a gradient.
    """
    replay, generator = Replay(graph), torch.Generator().manual_seed(0)
    for images in _parts(batches, count, _images_at_once(graph)):
        logits, kept = replay.run(images, tensors, _differentiable)
        for name, x in kept.items():
            if x.requires_grad:
                x.register_hook(partial(visit, name, x.detach()))  # type: ignore[no-untyped-call]
        del kept
        (logits * torch.randn(logits.shape, generator=generator)).sum().backward()  # type: ignore[no-untyped-call]
        yield len(images)


def _differentiable(index: int, node: onnx.NodeProto, inputs: Inputs) -> Outputs | None:  # noqa: ARG001
    """Start the gradient at the first layer: what comes before has none."""
    if node.op_type not in ("Conv", "Gemm") or inputs[0] is None or inputs[0].requires_grad:
        return None
    return kernel_of(node)(node, [inputs[0].requires_grad_(), *inputs[1:]])


def _images_at_once(graph: OnnxGraph) -> int:
    sizes = tensor_sizes(graph)
    computed = [sizes.get(name, []) for node in graph.nodes for name in node.output]
    an_image = sum(np.dtype(np.float32).itemsize * prod(shape[1:]) for shape in computed)
    return int(np.clip(HELD_BYTES // max(1, an_image), 1, AT_ONCE))


def _parts(batches: Iterable[NDArray[np.uint8]], count: int, at_once: int) -> Iterator[NDArray[np.uint8]]:
    for batch in batches:
        for start in range(0, len(batch), at_once):
            part = batch[start : start + min(at_once, count)]
            if len(part):
                yield part
            count -= len(part)
        if count <= 0:
            return
