"""Running a float ONNX graph in torch, where gradients are wanted."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from calibration.differentiable.kernel import Inputs, Outputs
from calibration.differentiable.torch_kernels import kernel_of
from calibration.errors import ModelError
from calibration.onnx_graph import IMAGE, OnnxGraph

Override = Callable[[int, onnx.NodeProto, Inputs], Outputs | None]
"""Computes the node with an index from its inputs, or returns None."""


class Replay:
    """A float graph in torch whose tensors can be read and differentiated.

    Raises ModelError for an operator without a kernel in `differentiable`.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph = graph
        self._constants: dict[str, Tensor] = {}
        computed = [
            (i, n) for i, n in enumerate(graph.nodes) if any(graph.folded(o) is None for o in n.output if o)
        ]
        self._steps = [(i, node, kernel_of(node)) for i, node in computed]

    def run(
        self, images: NDArray[np.uint8], keep: Sequence[str] = (), override: Override | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits for uint8 images [n, H, W, C], and the tensors named in `keep`.

        `override` is called for each node first, and may return None to leave it to the default. Raises
        ModelError for a form of an operator that has no kernel.
        """
        values: dict[str, Tensor] = {IMAGE: torch.from_numpy(np.ascontiguousarray(images))}
        kept: dict[str, Tensor] = {}
        output = self.graph.model.graph.output[0].name
        last = {name: i for i, node, _ in self._steps for name in node.input} | {output: -1}
        for i, node, kernel in self._steps:
            inputs = [values[name] if name in values else self._constant(name) for name in node.input]
            result = override(i, node, inputs) if override else None
            given = kernel(node, inputs) if result is None else result
            found = given if isinstance(given, tuple) else (given,)
            for name, value in zip(node.output, found, strict=False):  # some outputs only training wants
                values[name] = value
                if name in keep:
                    kept[name] = value
            for used in node.input:
                if last[used] == i:
                    values.pop(used, None)
        return values[output], kept

    def _constant(self, name: str) -> Tensor | None:
        if name and name not in self._constants:
            value = self.graph.folded(name)
            if value is None:
                raise ModelError(f"Tensor {name!r} is used before it is computed; the graph is not in order.")
            self._constants[name] = torch.from_numpy(np.array(value))
        return self._constants.get(name)
