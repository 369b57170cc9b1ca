"""Inserting QuantizeLinear and DequantizeLinear into a float ONNX graph."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from calibration.errors import LintError, RangesError
from calibration.graph import IMAGE, Graph, node_label, tensor_proto
from calibration.grid import activation_grid, round_weight, weight_scales
from calibration.layers import float_layer
from calibration.lint import lint_graph
from calibration.pixels import NHWC_TO_NCHW
from calibration.placement import Placement, place
from calibration.ranges import Ranges, model_digest
from calibration.recipe import QuantRecipe


def quantize(model: Path, ranges: Ranges, recipe: QuantRecipe, output: Path) -> None:
    """Write the Q/DQ ONNX of the float ONNX `model` to `output`; the same bytes for the same input.

    Placement as `placement` says; int8 weights as initialisers behind a DequantizeLinear on axis 0; biases
    stay float32. Raises RangesError if `ranges` were not collected on this model for this recipe, ModelError
    for a graph that cannot be quantised, and LintError if the result breaks a rule of `lint`.
    """
    graph = Graph.load(model)
    placement = place(graph, recipe.scheme)
    _check(ranges, model, recipe, placement)
    result = _Writer(graph, placement, ranges, recipe).write()
    findings = lint_graph(Graph(result), recipe.scheme)
    if findings:
        raise LintError("The quantised graph breaks placement rules:\n" + "\n".join(map(str, findings)))
    onnx.checker.check_model(result, full_check=True)
    output.write_bytes(result.SerializeToString(deterministic=True))


def _check(ranges: Ranges, model: Path, recipe: QuantRecipe, placement: Placement) -> None:
    if ranges.model != model_digest(model):
        raise RangesError(
            f"The ranges were collected on another model than {model}. Calibrate again on this one."
        )
    if ranges.recipe != recipe.name:
        raise RangesError(
            f"The ranges were collected for recipe {ranges.recipe}, not {recipe.name}. Calibrate again with "
            "it."
        )
    missing = [name for name in placement.observed if name not in ranges.tensors]
    if missing:
        raise RangesError(
            f"The ranges lack {len(missing)} of the model's tensors, among them {missing[0]!r}. Calibrate "
            "again."
        )


class _Writer:
    """Builds the quantised graph node by node, in the float graph's order."""

    def __init__(self, graph: Graph, placement: Placement, ranges: Ranges, recipe: QuantRecipe) -> None:
        self.graph = graph
        self.placement = placement
        self.recipe = recipe
        self.grids = {
            tensor: activation_grid(ranges.tensors[source].low, ranges.tensors[source].high, recipe.scheme)
            for tensor, source in placement.tensors.items()
        }
        self.nodes: list[onnx.NodeProto] = []
        self.initializers = dict(graph.initializers)

    def write(self) -> onnx.ModelProto:
        pixels = self.placement.pixels
        if pixels:
            self._pixels()
        for tensor in self.placement.tensors:
            if self.graph.producer_index(tensor) is None:
                self._quantize(tensor)
        edges = {(edge.node, edge.slot) for edge in self.placement.edges}
        for i, original in enumerate(self.graph.nodes):
            if not (pixels and i in pixels.nodes):
                self._node(i, original, edges)
        return self._model()

    def _node(self, index: int, original: onnx.NodeProto, edges: set[tuple[int, int]]) -> None:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        for slot, name in enumerate(original.input):
            if (index, slot) in edges:
                node.input[slot] = f"{name}/dequantized"
        if index in self.placement.layers:
            self._weights(index, node)
        self.nodes.append(node)
        for name in original.output:
            if name in self.grids:
                self._quantize(name)

    def _pixels(self) -> None:
        pixels = self.placement.pixels
        assert pixels is not None  # noqa: S101 -- the caller looked
        transposed, name = f"{IMAGE}/nchw", pixels.normalized
        self.nodes.append(
            helper.make_node("Transpose", [IMAGE], [transposed], f"{transposed}/Transpose", perm=NHWC_TO_NCHW)
        )
        self._add(f"{name}/scale", np.ones(len(pixels.mean), np.float32))
        self._add(f"{name}/zero_point", pixels.zero_point)
        self._dequantize(transposed, name, axis=1)

    def _quantize(self, tensor: str) -> None:
        grid = self.grids[tensor]
        self._add(f"{tensor}/scale", np.asarray(grid.scale))
        self._add(f"{tensor}/zero_point", np.asarray(grid.zero_point))
        inputs = [tensor, f"{tensor}/scale", f"{tensor}/zero_point"]
        self.nodes.append(
            helper.make_node("QuantizeLinear", inputs, [f"{tensor}/quantized"], f"{tensor}/QuantizeLinear")
        )
        self._dequantize(f"{tensor}/quantized", tensor)

    def _dequantize(self, integers: str, tensor: str, axis: int | None = None) -> None:
        inputs = [integers, f"{tensor}/scale", f"{tensor}/zero_point"]
        node = helper.make_node(
            "DequantizeLinear", inputs, [f"{tensor}/dequantized"], f"{tensor}/DequantizeLinear"
        )
        if axis is not None:
            node.attribute.append(helper.make_attribute("axis", axis))
        self.nodes.append(node)

    def _weights(self, index: int, node: onnx.NodeProto) -> None:
        """Put int8 weights and a DequantizeLinear in front of a Conv or Gemm."""
        tensor, name = self.graph.nodes[index].input[:2]
        layer = float_layer(self.graph, index, self.placement.pixels)
        input_scale = float(self.grids[tensor].scale) if tensor in self.grids else 1.0
        weight = round_weight(layer.weight, weight_scales(layer.weight, layer.bias, input_scale))
        if len(self.graph.consumers(name)) > 1:
            name = f"{name}/{node_label(node)}"
        self._add(f"{name}/quantized", weight.values)
        self._add(f"{name}/scale", weight.scales)
        self._add(f"{name}/zero_point", np.zeros(len(weight.scales), np.int8))
        self._dequantize(f"{name}/quantized", name, axis=0)
        self._add(f"{name}/bias", layer.bias)
        data = f"{tensor}/dequantized"
        del node.input[:]
        node.input.extend([data, f"{name}/dequantized", f"{name}/bias"])
        if node.op_type == "Gemm":
            kept = [a for a in node.attribute if a.name != "transB"]
            del node.attribute[:]
            node.attribute.extend([*kept, helper.make_attribute("transB", 1)])

    def _add(self, name: str, value: NDArray[np.generic]) -> None:
        self.initializers[name] = tensor_proto(name, value)

    def _model(self) -> onnx.ModelProto:
        """The float model with the new nodes, and of the initialisers those that are still read."""
        model = onnx.ModelProto()
        model.CopyFrom(self.graph.model)
        del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
        model.graph.node.extend(self.nodes)
        used = {name for node in self.nodes for name in node.input}
        model.graph.initializer.extend(proto for name, proto in self.initializers.items() if name in used)
        model.producer_name = "edgec"
        model.producer_version = ""
        helper.set_model_props(model, {"edgec.recipe": self.recipe.name})
        return model
