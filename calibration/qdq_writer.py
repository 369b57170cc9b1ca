"""Writes a Q/DQ graph from the float graph, a placement and the parameters."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, version_converter

from calibration.fold_pixels import NHWC_TO_NCHW, PixelInput
from calibration.grid import WIDE_OPSET, ActivationGrid
from calibration.left_out import left_out, with_left_out
from calibration.onnx_graph import IMAGE, OnnxGraph, node_label, set_attribute, tensor_proto
from calibration.parameters import Parameters
from calibration.placement import Placement
from calibration.recipe import QuantRecipe, Scheme

FLOAT_LAYERS = "edgec.float_layers"
"""The metadata with the names of nodes left in float on purpose, one a line."""
WIDE = "edgec.wide"
"""The metadata with the names of nodes in float because the recipe gives their input 16 bits, one a line."""
OUTLOOK = "edgec.outlook"
"""The metadata that says what the recipe's 16 bits are expected to bring."""
BROUGHT = "edgec.brought"
"""Marks a graph that another tool quantised: it may break rules that only cost time."""
SOURCES = frozenset({"Constant", "Identity"})
"""Operators that may have no reader left after weights are replaced."""


def write_qdq(
    graph: OnnxGraph, placement: Placement, parameters: Parameters, recipe: QuantRecipe
) -> onnx.ModelProto:
    """Return the quantised model. `parameters` may know of more tensors and layers than `placement` uses."""
    writer = _QdqWriter(graph, placement, parameters)
    nodes = writer.nodes_in_order()
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    used = {name for node in nodes for name in node.input}
    model.graph.node.extend(n for n in nodes if n.op_type not in SOURCES or n.output[0] in used)
    model.graph.initializer.extend(proto for name, proto in writer.initializers.items() if name in used)
    model.producer_name, model.producer_version = "edgec", ""
    in_float = placement.float_nodes(graph)
    properties = {"edgec.recipe": recipe.name, FLOAT_LAYERS: "\n".join(in_float)}
    if placement.in_float:
        properties[WIDE] = "\n".join(graph.nodes[index].name for index in placement.in_float)
    if parameters.outlook:
        properties[OUTLOOK] = parameters.outlook
    notes = [*left_out(graph.model), *parameters.left_out]
    helper.set_model_props(model, with_left_out(properties, notes))
    grids = parameters.grids.values()
    return _in_wide_opset(model) if writer.residuals or any(grid.is_wide for grid in grids) else model


def _in_wide_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    written = version_converter.convert_version(model, WIDE_OPSET)
    written.ir_version = helper.find_min_ir_version_for(written.opset_import)
    return written


def constants_of(graph: OnnxGraph, index: int) -> str:
    """The prefix of the names of a layer's constants; layers that share weights have separate constants."""
    node = graph.nodes[index]
    name = str(node.input[1])
    return name if len(graph.consumers(name)) < 2 else f"{name}/{node_label(node)}"


class _QdqWriter:
    """Builds the quantised graph node by node, in the float graph's order."""

    def __init__(self, graph: OnnxGraph, placement: Placement, parameters: Parameters) -> None:
        self.graph = graph
        self.placement = placement
        self.parameters = parameters
        self.edges = {(edge.node, edge.slot) for edge in placement.edges}
        self.residual = {(edge.node, edge.slot) for edge in placement.residual}
        self.residuals = {
            name: is_copied
            for name, is_copied in placement.residuals(graph).items()
            if not parameters.grids[name].is_wide
        }
        self.nodes: list[onnx.NodeProto] = []
        self.initializers = dict(graph.initializers)

    def nodes_in_order(self) -> list[onnx.NodeProto]:
        pixels = self.placement.pixels
        if pixels:
            self._pixels(pixels)
        for i, original in enumerate(self.graph.nodes):
            if not (pixels and i in pixels.nodes):
                self._node(i, original)
        return self.nodes

    def _node(self, index: int, original: onnx.NodeProto) -> None:
        node = onnx.NodeProto()
        node.CopyFrom(original)
        for slot, name in enumerate(original.input):
            if (index, slot) in self.residual and self.residuals.get(name, False):
                node.input[slot] = f"{name}/wide/dequantized"
            elif (index, slot) in self.edges:
                node.input[slot] = f"{name}/dequantized"
        if index in self.placement.layers:
            self._layer(index, node)
        self.nodes.append(node)
        for name in original.output:
            if name in self.placement.tensors:
                self._on_grid(name, self.parameters.grids[name])

    def _on_grid(self, tensor: str, grid: ActivationGrid) -> None:
        """Q and DQ behind a tensor, in 16 bits first where residual additions read these."""
        if tensor not in self.residuals:
            self._quantize(tensor, tensor, np.asarray(grid.scale), np.asarray(grid.zero_point))
            return
        wide, is_copied = grid.widened(), self.residuals[tensor]
        name = f"{tensor}/wide" if is_copied else tensor
        self._quantize(tensor, name, np.asarray(wide.scale), np.asarray(wide.zero_point))
        if is_copied:
            source = f"{name}/dequantized"
            self._quantize(source, tensor, np.asarray(grid.scale), np.asarray(grid.zero_point))

    def _pixels(self, pixels: PixelInput) -> None:
        """From `image` to the first convolution's dequantised input."""
        tensor, name = f"{IMAGE}/nchw", pixels.normalized
        if pixels.scheme is Scheme.ASYM:
            self._append("Transpose", [IMAGE], tensor, perm=NHWC_TO_NCHW)
            self._constant(f"{name}/scale", np.ones(len(pixels.mean), np.float32))
            self._constant(f"{name}/zero_point", pixels.zero_point)
            inputs = [tensor, f"{name}/scale", f"{name}/zero_point"]
            self._append("DequantizeLinear", inputs, f"{name}/dequantized", axis=1)
            return
        # cast first: TensorRT transposes no uint8
        self._append("Cast", [IMAGE], f"{IMAGE}/float", to=onnx.TensorProto.FLOAT)
        self._append("Transpose", [f"{IMAGE}/float"], tensor, perm=NHWC_TO_NCHW)
        zero = pixels.zero_point.astype(np.float32).reshape(-1, 1, 1)
        top, left, bottom, right = pixels.pads
        self._constant(f"{name}/mean", zero)
        self._constant(f"{name}/pads", np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
        self._constant(f"{name}/shift", np.float32(128) - zero)
        self._append("Sub", [tensor, f"{name}/mean"], f"{name}/centred")
        self._append("Pad", [f"{name}/centred", f"{name}/pads"], f"{name}/padded")
        self._append("Sub", [f"{name}/padded", f"{name}/shift"], f"{name}/shifted")
        self._quantize(f"{name}/shifted", name, np.float32(1), np.int8(0))

    def _layer(self, index: int, node: onnx.NodeProto) -> None:
        """Put int8 weights and a DequantizeLinear in front of a Conv or Gemm, and its bias."""
        pixels = self.placement.pixels
        first = pixels is not None and index == pixels.conv
        layer = self.parameters.layers[index]
        data, name = node.input[0], constants_of(self.graph, index)
        self._constant(f"{name}/quantized", layer.weight.values)
        self._constant(f"{name}/scale", layer.weight.scales)
        self._constant(f"{name}/zero_point", np.zeros(len(layer.bias), np.int8))
        step = np.float64(1) if first else self.parameters.grids[self.graph.nodes[index].input[0]].scale
        self._constant(f"{name}/bias", whole_steps(layer.bias, step * layer.weight.scales.astype(np.float64)))
        inputs = [f"{name}/quantized", f"{name}/scale", f"{name}/zero_point"]
        self._append("DequantizeLinear", inputs, f"{name}/dequantized", axis=0)
        if first and pixels is not None:
            data = f"{pixels.normalized}/dequantized"
            if pixels.scheme is Scheme.SYM:
                set_attribute(node, "pads", [0, 0, 0, 0])
        del node.input[:]
        node.input.extend([data, f"{name}/dequantized", f"{name}/bias"])
        if node.op_type == "Gemm":
            set_attribute(node, "transB", 1)

    def _quantize(
        self, tensor: str, name: str, scale: NDArray[np.generic] | np.generic, zero: object
    ) -> None:
        """Q and DQ behind `tensor`; the new tensors and constants are called after `name`."""
        self._constant(f"{name}/scale", np.asarray(scale))
        self._constant(f"{name}/zero_point", np.asarray(zero))
        grid = [f"{name}/scale", f"{name}/zero_point"]
        self._append("QuantizeLinear", [tensor, *grid], f"{name}/quantized")
        self._append("DequantizeLinear", [f"{name}/quantized", *grid], f"{name}/dequantized")

    def _append(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> None:  # noqa: ANN401 -- whatever an ONNX attribute takes
        self.nodes.append(helper.make_node(kind, inputs, [output], f"{output}/{kind}", **attributes))

    def _constant(self, name: str, value: NDArray[np.generic]) -> None:
        self.initializers[name] = tensor_proto(name, value)


def whole_steps(bias: NDArray[np.float32], step: NDArray[np.float64]) -> NDArray[np.float32]:
    """The bias rounded to whole steps of the sum it is added to, the input's scale times the weights'.

    Integer engines add it as int32 and would round it themselves. Rounded here, the graph means the same in
    float, and a runtime that computes it in float differs only by its own rounding.
    """
    rounded: NDArray[np.float32] = (np.rint(bias / step) * step).astype(np.float32)
    return rounded
