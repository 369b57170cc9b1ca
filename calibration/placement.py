"""Where quantisation goes in a residual network: which node inputs are 8-bit, which tensors share a range.

The rules, which keep Conv+Add+ReLU one kernel for an integer engine and for TensorRT:

- the input of every Conv, MaxPool, AveragePool and GlobalAveragePool (or ReduceMean over the image), and of
  every Gemm under w8a8_asym;
- not the powers that such a pool averages, as in GeM, but what is raised to them: see `averaged_powers`;
- every input of a Concat, each on its own grid, and of a batch norm that no convolution in front could take
  in; a norm behind a Concat is left to read it directly, so that an engine does both at once;
- at an Add, the identity branch only, never the value between the main branch's Conv and the Add. The main
  branch is the one that ends in a Conv; where both do, the one with more convolutions behind it, and the
  other (a downsampling convolution) is the identity;
- with `res` that identity branch in 16 bits, so that the rounding of one block after the other does not add
  up: FP16 under w8a8_sym, so without Q/DQ; integers under w8a8_asym, where an engine can write them, and
  other readers of the tensor take a copy of 8 bits;
- max pooling, slicing, splitting, shuffling channels (Reshape, Transpose, Reshape), resizing to the nearest
  pixels, DepthToSpace and padding with zero pick values without computing new ones, so they commute with
  quantisation: such a node reads an 8-bit tensor, and what it gives is quantised again with *the same* scale
  and zero point, which changes no value. Shortcut A (Slice, Pad, Add: a branch without a convolution)
  therefore starts at the Q/DQ that the next convolution reads too, and ends in one right before the Add. An
  engine sees pure data movement between two equal scales, the Add sees an 8-bit tensor with a known scale,
  and every rule can be checked node by node;
- under w8a8_asym what elementwise operators and linear Resize read, but for the bounds that an engine applies
  to a sum: see `pointwise`. Under w8a8_sym they stay between the convolution and its Q, where TensorRT fuses
  them;
- under w8a8_asym, and w8a8_sym with `pix`, the first convolution reads the pixels themselves (see `pixels`).

A tensor that several nodes read, such as a ReLU output that feeds a Conv and an Add, is quantised once.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import assert_never

import onnx

from calibration.errors import ModelError
from calibration.fold_pixels import PixelInput, find_pixel_input
from calibration.onnx_graph import Edge, OnnxGraph, attribute, node_label, undequantized
from calibration.pointwise import Elementwise
from calibration.residual_reads import wide_reads
from calibration.scheme import RecipeBase, Scheme

READ_8_BITS = frozenset(
    {"MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceMax"}
)
"""Operators without weights whose first input is 8-bit wherever they stand."""
SAME_SCALE = frozenset(
    {"MaxPool", "GlobalMaxPool", "ReduceMax", "Slice", "Split", "Gather", "Pad", "Resize", "DepthToSpace"}
)


@dataclass(frozen=True)
class Placement:
    """The decision for one graph and scheme.

    `tensors` maps each float tensor to quantise to the tensor whose range it uses, in graph order; `edges`
    are the node inputs that read a quantised tensor; `layers` the indices of the Conv and Gemm nodes with
    8-bit weights. `in_float` are the indices of nodes of any kind that would read 8 bits, if their input did
    not stay in float on purpose. `residual` are those of `edges` that read 16 bits.
    """

    tensors: dict[str, str]
    edges: tuple[Edge, ...]
    layers: tuple[int, ...]
    pixels: PixelInput | None
    in_float: tuple[int, ...] = ()
    residual: tuple[Edge, ...] = ()

    @property
    def observed(self) -> tuple[str, ...]:
        """The tensors whose range calibration has to find, in graph order."""
        return tuple(dict.fromkeys(self.tensors.values()))

    def only(self, graph: OnnxGraph, layer: int) -> "Placement":
        """The part of this placement that makes one layer 8-bit: its weights and its input."""
        if self.pixels and layer == self.pixels.conv:
            return Placement({}, (), (layer,), self.pixels)
        read = graph.nodes[layer].input[0]
        return Placement({read: self.tensors[read]}, (Edge(layer),), (layer,), None)

    def without(self, graph: OnnxGraph, sources: Collection[str]) -> "Placement":
        """What is left when the tensors with the ranges of `sources`, and what reads them, stay in float."""
        tensors = {name: source for name, source in self.tensors.items() if source not in sources}
        edges = tuple(edge for edge in self.edges if _tensor(graph, edge) in tensors)
        left = (edge.node for edge in self.edges if edge not in edges)
        in_float = tuple(dict.fromkeys([*self.in_float, *left]))
        layers = tuple(index for index in self.layers if index not in in_float)
        return Placement(tensors, edges, layers, self.pixels, in_float)

    def residuals(self, graph: OnnxGraph) -> dict[str, bool]:
        """The tensors that residual additions read in 16 bits, each with whether others read 8 of it."""
        others = {_tensor(graph, edge) for edge in self.edges if edge not in self.residual}
        return {name: name in others for name in (_tensor(graph, edge) for edge in self.residual)}

    def only_wide(self, graph: OnnxGraph) -> frozenset[str]:
        """The tensors that only residual additions read, so that they have no copy of 8 bits."""
        return frozenset(name for name, is_copied in self.residuals(graph).items() if not is_copied)

    def with_residuals(self, graph: OnnxGraph, reads: Collection[Edge], scheme: Scheme) -> "Placement":
        """The placement whose residual additions, the edges `reads`, read 16 bits: FP16 under w8a8_sym."""
        match scheme:
            case Scheme.ASYM:
                return replace(self, residual=tuple(reads))
            case Scheme.SYM:
                edges = tuple(edge for edge in self.edges if edge not in reads)
                used = {_tensor(graph, edge) for edge in edges}
                tensors = {name: source for name, source in self.tensors.items() if name in used}
                in_float = (*self.in_float, *(edge.node for edge in reads))
                return replace(self, tensors=tensors, edges=edges, in_float=in_float)
        assert_never(scheme)

    def float_nodes(self, graph: OnnxGraph) -> list[str]:
        """Names of the Conv and Gemm nodes in float, and of all nodes `in_float`, in graph order."""
        return [
            node.name
            for i, node in enumerate(graph.nodes)
            if i in self.in_float or (node.op_type in ("Conv", "Gemm") and i not in self.layers)
        ]


def place(
    graph: OnnxGraph, recipe: RecipeBase, float_layers: Collection[str] = (), wide: Collection[str] = ()
) -> Placement:
    """Decide what is quantised. `float_layers` names Conv and Gemm nodes to leave in float.

    `wide` are observed tensors that get 16 bits. Under w8a8_sym that is FP16, so they have no Q/DQ. Raises
    ModelError for a graph without `image`, or with nodes that have no place in these rules.
    """
    graph.image()
    layers = tuple(i for i in _weighted(graph, recipe.scheme) if graph.nodes[i].name not in float_layers)
    pixels = _pixels(graph, recipe)
    if pixels and pixels.conv not in layers:
        pixels = None
    elementwise, looked_up = Elementwise(graph), recipe.scheme is Scheme.ASYM
    edges = [Edge(i) for i in layers if not (pixels and i == pixels.conv)]
    edges += [
        Edge(i)
        for i, node in enumerate(graph.nodes)
        if node.op_type in READ_8_BITS and node.output[0] not in elementwise.averaged
    ]
    edges += elementwise.raised()
    edges += _joined(graph)
    identities = [
        Edge(i, identity_slot(graph, node))
        for i, node in enumerate(graph.nodes)
        if is_residual_add(graph, node)
        and follows_convolution(graph, node)
        and not (looked_up and node.output[0] in elementwise.source)
    ]
    edges += identities
    found, more = set[Edge](), set(edges)
    while more - found:
        found |= more
        more = {start for edge in found if (start := _chain_start(graph, _tensor(graph, edge)))}
        more |= set(elementwise.needed(found)) if looked_up else set()
    edges = sorted(found, key=lambda e: (e.node, e.slot))
    position = {name: i for i, node in enumerate(graph.nodes) for name in node.output}
    tensors = sorted({_tensor(graph, edge) for edge in edges}, key=lambda t: position.get(t, -1))
    whole = Placement({t: _range_source(graph, t) for t in tensors}, tuple(edges), layers, pixels)
    if recipe.wide_residuals:
        reads = wide_reads(graph, identities, whole.tensors, elementwise, recipe.scheme)
        whole = whole.with_residuals(graph, reads, recipe.scheme)
    return whole.without(graph, wide) if wide and recipe.scheme is Scheme.SYM else whole


def _pixels(graph: OnnxGraph, recipe: RecipeBase) -> PixelInput | None:
    """The first convolution's input if it reads pixels; None under w8a8_sym where it does not."""
    if not recipe.lossless_pixels:
        return None
    try:
        return find_pixel_input(graph, recipe.scheme)
    except ModelError:
        if recipe.scheme is Scheme.SYM:
            return None
        raise


def _joined(graph: OnnxGraph) -> list[Edge]:
    """The inputs of Concat and of batch norms. A norm behind a Concat needs none of its own."""
    found = []
    for i, node in enumerate(graph.nodes):
        if node.op_type == "Concat" and attribute(node, "axis") in (
            1,
            -3,
        ):  # channels, and no shape arithmetic
            found += [Edge(i, slot) for slot, name in enumerate(node.input) if not graph.is_constant(name)]
        elif node.op_type == "BatchNormalization":
            before = graph.producer(node.input[0])
            if before is None or before.op_type != "Concat":
                found.append(Edge(i))
    return found


def is_residual_add(graph: OnnxGraph, node: onnx.NodeProto) -> bool:
    """Whether `node` adds two computed tensors."""
    return node.op_type == "Add" and not any(graph.is_constant(name) for name in node.input)


def follows_convolution(graph: OnnxGraph, add: onnx.NodeProto) -> bool:
    """Whether a branch of an Add ends in a Conv; else, as in a highway network, it stays in float."""
    behind = [graph.producer(undequantized(graph, name)) for name in add.input]
    return any(node is not None and node.op_type == "Conv" for node in behind)


def identity_slot(graph: OnnxGraph, add: onnx.NodeProto) -> int:
    """Which input of a residual Add is the identity branch. Raises ModelError if no branch ends in a Conv."""
    behind = [graph.producer(undequantized(graph, name)) for name in add.input]
    convs = [slot for slot, node in enumerate(behind) if node is not None and node.op_type == "Conv"]
    if not convs:
        raise ModelError(
            f"{node_label(add)} adds two tensors of which neither comes from a convolution; there is no "
            "residual to fuse."
        )
    main = max(convs, key=lambda slot: _conv_depth(graph, add.input[slot]))
    return 1 - main


def _weighted(graph: OnnxGraph, scheme: Scheme) -> list[int]:
    """Indices of the nodes whose weights become 8-bit."""
    kinds = ("Conv", "Gemm") if scheme is Scheme.ASYM else ("Conv",)
    found = [i for i, node in enumerate(graph.nodes) if node.op_type in kinds]
    if not any(graph.nodes[i].op_type == "Conv" for i in found):
        raise ModelError("The model has no convolution; there is nothing to quantise.")
    for i in found:
        node = graph.nodes[i]
        if graph.constant(node.input[1]) is None or (
            len(node.input) > 2 and graph.constant(node.input[2]) is None
        ):
            raise ModelError(
                f"{node_label(node)} has weights or a bias that are computed; they have to be constants."
            )
    return found


def _conv_depth(graph: OnnxGraph, tensor: str) -> int:
    """The largest number of Conv nodes on a path from an input of the graph to `tensor`."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        behind = max((depth.get(name, 0) for name in node.input), default=0)
        depth.update(dict.fromkeys(node.output, behind + (node.op_type == "Conv")))
    return depth.get(tensor, 0)


def _tensor(graph: OnnxGraph, edge: Edge) -> str:
    return str(graph.nodes[edge.node].input[edge.slot])


def _keeps_scale(graph: OnnxGraph, node: onnx.NodeProto | None) -> bool:
    """Whether a node only picks among its input's values and zero."""
    if node is None or node.op_type not in SAME_SCALE:
        return False
    if graph.is_constant(node.input[0]):
        return False
    if node.op_type == "Resize":
        return bool(attribute(node, "mode", b"nearest") == b"nearest")
    if node.op_type != "Pad" or len(node.input) < 3 or not node.input[2]:
        return True
    value = graph.constant(node.input[2])
    return value is not None and not value.any()


def _chain_start(graph: OnnxGraph, tensor: str) -> Edge | None:
    """The first node of the data movement that ends in `tensor`, if there is any."""
    start = None
    while (moving := _moving(graph, tensor)) is not None:
        start = Edge(moving)
        tensor = graph.nodes[moving].input[0]
    return start


def _moving(graph: OnnxGraph, tensor: str) -> int | None:
    """The first node of the data movement that ends in `tensor`: one node, or those of a shuffle."""
    if _keeps_scale(graph, graph.producer(tensor)):
        return graph.producer_index(tensor)
    index, kinds = None, []
    while (node := graph.producer(tensor)) is not None and node.op_type in ("Reshape", "Transpose"):
        index, tensor = graph.producer_index(tensor), node.input[0]
        kinds.append(node.op_type)
    return index if kinds.count("Reshape") > 1 and "Transpose" in kinds else None


def _range_source(graph: OnnxGraph, tensor: str) -> str:
    """The tensor in front of the data movement that ends in `tensor`."""
    start = _chain_start(graph, tensor)
    return tensor if start is None else _tensor(graph, start)
