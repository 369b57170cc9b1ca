"""How much a change of each value in a float network changes its logits.

One backward pass a batch with a random direction u over the logits: E[(u . d logits / d x)^2] is the sum of
the squares of the derivatives of all logits (Hutchinson's estimator).
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from math import prod

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.differentiable.kernel import Inputs, Outputs
from calibration.differentiable.torch_kernels import kernel_of
from calibration.onnx_graph import Edge, OnnxGraph
from calibration.replay import Replay
from calibration.tensor_sizes import tensor_sizes

AT_ONCE = 16
"""The most images in one pass."""
HELD_BYTES = 192 << 20
"""About as many bytes of values are held for the way back, if one image has not more."""

Visit = Callable[[str, Tensor, Tensor], None]
"""Is given a tensor's name, its values and u . d logits / d x, both float32 [n, ...]."""


def visit_gradients(
    graph: OnnxGraph,
    tensors: tuple[str, ...],
    batches: Iterable[NDArray[np.uint8]],
    count: int,
    visit: Visit,
    edges: Collection[Edge] = (),
) -> Iterator[int]:
    """Show `visit` the gradients of `tensors` on the first `count` images; yield the size of each part.

    Of a tensor that some of `edges` read, it is what a change of the value that these read does: others go on
    to read the tensor as it is. A gradient is forgotten once it has been shown. Tensors that no layer is in
    front of, or that no logit depends on, are left out. Raises ModelError for operators without a gradient.
    """
    replay, generator = Replay(graph), torch.Generator().manual_seed(0)
    for images in _parts(batches, count, _images_at_once(graph)):
        read = _ReadApart(edges)
        logits, kept = replay.run(images, tensors, read)
        for name, x in kept.items():
            if x.requires_grad:
                read.copies.get(name, x).register_hook(partial(visit, name, x.detach()))  # type: ignore[no-untyped-call]
        del kept, read
        (logits * torch.randn(logits.shape, generator=generator)).sum().backward()  # type: ignore[no-untyped-call]
        yield len(images)


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
