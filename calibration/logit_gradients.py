"""How much a change of each value in a float network changes its logits.

One backward pass a batch with a random direction u over the logits: E[(u . d logits / d x)^2] is the sum of
the squares of the derivatives of all logits (Hutchinson's estimator).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.differentiable.kernel import Inputs, Outputs
from calibration.differentiable.torch_kernels import kernel_of
from calibration.onnx_graph import OnnxGraph
from calibration.replay import Replay

BATCH = 16

Gradients = dict[str, tuple[Tensor, Tensor]]
"""A tensor's values and u . d logits / d x, both float32 [n, ...]."""


def logit_gradients(
    graph: OnnxGraph, tensors: tuple[str, ...], batches: Iterable[NDArray[np.uint8]], count: int
) -> Iterator[tuple[int, Gradients]]:
    """Yield the gradients of `tensors` on the first `count` images, with each part's number of images.

    Tensors that no layer is in front of, or that no logit depends on, are left out. Raises ModelError for
    operators without a gradient.
    """
    replay, generator = Replay(graph), torch.Generator().manual_seed(0)
    for images in _parts(batches, count):
        logits, kept = replay.run(images, tensors, _differentiable)
        kept = {name: x for name, x in kept.items() if x.requires_grad}
        for x in kept.values():
            x.retain_grad()
        (logits * torch.randn(logits.shape, generator=generator)).sum().backward()  # type: ignore[no-untyped-call]
        yield len(images), {name: (x.detach(), x.grad) for name, x in kept.items() if x.grad is not None}


def _differentiable(index: int, node: onnx.NodeProto, inputs: Inputs) -> Outputs | None:  # noqa: ARG001
    """Start the gradient at the first layer: what comes before has none."""
    if node.op_type not in ("Conv", "Gemm") or inputs[0] is None or inputs[0].requires_grad:
        return None
    return kernel_of(node)(node, [inputs[0].requires_grad_(), *inputs[1:]])


def _parts(batches: Iterable[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    for batch in batches:
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + min(BATCH, count)]
            if len(part):
                yield part
            count -= len(part)
        if count <= 0:
            return
