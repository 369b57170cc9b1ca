"""How much a change of each value in a float network changes its logits.

One backward pass a batch with a random direction u over the logits: E[(u . d logits / d x)^2] is the sum of
the squares of the derivatives of all logits (Hutchinson's estimator).
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.differentiable.kernel import Inputs, Outputs
from calibration.differentiable.torch_kernels import kernel_of
from calibration.onnx_graph import Edge, OnnxGraph
from calibration.replay import Replay

BATCH = 16

Gradients = dict[str, tuple[Tensor, Tensor]]
"""A tensor's values and u . d logits / d x, both float32 [n, ...]."""


def logit_gradients(
    graph: OnnxGraph,
    tensors: tuple[str, ...],
    batches: Iterable[NDArray[np.uint8]],
    count: int,
    edges: Collection[Edge] = (),
) -> Iterator[tuple[int, Gradients]]:
    """Yield the gradients of `tensors` on the first `count` images, with each part's number of images.

    Of a tensor that some of `edges` read, it is what a change of the value that these read does: others go on
    to read the tensor as it is. Tensors that no layer is in front of, or that no logit depends on, are left
    out. Raises ModelError for operators without a gradient.
    """
    replay, generator = Replay(graph), torch.Generator().manual_seed(0)
    for images in _parts(batches, count):
        read = _ReadApart(edges)
        logits, kept = replay.run(images, tensors, read)
        kept = {name: read.copies.get(name, x) for name, x in kept.items() if x.requires_grad}
        for x in kept.values():
            x.retain_grad()
        (logits * torch.randn(logits.shape, generator=generator)).sum().backward()  # type: ignore[no-untyped-call]
        yield len(images), {name: (x.detach(), x.grad) for name, x in kept.items() if x.grad is not None}


class _ReadApart:
    """Starts the gradient at the first layers, since what comes before has none; `edges` read copies."""

    def __init__(self, edges: Collection[Edge]) -> None:
        self._edges = {(edge.node, edge.slot) for edge in edges}
        self.copies: dict[str, Tensor] = {}

    def __call__(self, index: int, node: onnx.NodeProto, inputs: Inputs) -> Outputs | None:
        """Compute a node that reads copies or starts the gradient; None for others."""
        given = [
            self._copy(name, x) if (index, slot) in self._edges and x is not None and x.requires_grad else x
            for slot, (name, x) in enumerate(zip(node.input, inputs, strict=True))
        ]
        first = given[0] if node.op_type in ("Conv", "Gemm") else None
        if first is not None and not first.requires_grad:
            first.requires_grad_()
        elif all(one is other for one, other in zip(given, inputs, strict=True)):
            return None
        return kernel_of(node)(node, given)

    def _copy(self, name: str, x: Tensor) -> Tensor:
        """One for all edges that read a tensor."""
        return self.copies.setdefault(name, x.view_as(x))


def _parts(batches: Iterable[NDArray[np.uint8]], count: int) -> Iterator[NDArray[np.uint8]]:
    for batch in batches:
        for start in range(0, len(batch), BATCH):
            part = batch[start : start + min(BATCH, count)]
            if len(part):
                yield part
            count -= len(part)
        if count <= 0:
            return
