"""Conventions that changed between versions of ONNX: the default domain, weights and functions."""

from heapq import heappop, heappush

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pipeline.models.foreign.normal_form.known_shapes import read_by
from pipeline.models.foreign.replaced_nodes import replace_nodes

DEFAULT = ("", "ai.onnx")
"""Both spellings of the domain of standard operators."""
FIRST_IR_WITH_WEIGHTS_APART = 4
"""Before this IR version, every initialiser had to be listed as an input."""
IR_OF_OPSET_17 = 8


def write_one_default_domain(model: onnx.ModelProto) -> None:
    """Spell the default domain as "", and import it once, in the newest version that the model names."""
    versions = [opset.version for opset in model.opset_import if opset.domain in DEFAULT]
    others = [opset for opset in model.opset_import if opset.domain not in DEFAULT]
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", max(versions, default=1)))
    model.opset_import.extend(others)
    for node in model.graph.node:
        node.domain = "" if node.domain in DEFAULT else node.domain


def write_nodes_in_order(model: onnx.ModelProto) -> None:
    """Put every node behind those that it reads from, as ONNX demands and onnxruntime does not.

    Otherwise nodes stay in their order, which is left as it is where nodes read from each other in a circle.
    """
    nodes = model.graph.node
    writers = {name: number for number, node in enumerate(nodes) for name in node.output if name}
    behind = [{writers[name] for name in read_by(node) if name in writers} for node in nodes]
    if all(max(before, default=-1) < number for number, before in enumerate(behind)):
        return
    readers: list[list[int]] = [[] for _ in nodes]
    for number, before in enumerate(behind):
        for one in before:
            readers[one].append(number)
    missing = [len(before) for before in behind]
    ready = [number for number, count in enumerate(missing) if count == 0]
    order = []
    while ready:
        order.append(heappop(ready))
        for reader in readers[order[-1]]:
            missing[reader] -= 1
            if missing[reader] == 0:
                heappush(ready, reader)
    if len(order) == len(nodes):
        found = [nodes[number] for number in order]
        kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in found]
        del nodes[:]
        nodes.extend(kept)


def take_weights_out_of_the_inputs(model: onnx.ModelProto) -> None:
    """Remove weights from the list of inputs, so that a caller cannot replace them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(given)
    model.ir_version = max(model.ir_version, IR_OF_OPSET_17)


def write_constants_as_weights(model: onnx.ModelProto) -> None:
    """Write Constant nodes as initialisers, whichever attribute holds their value."""
    nothing: dict[str, list[onnx.NodeProto]] = {}
    for node in [node for node in model.graph.node if node.op_type == "Constant"]:
        value = _value(node)
        if value is not None:
            value.name = node.output[0]
            model.graph.initializer.append(value)
            nothing[node.output[0]] = []
    replace_nodes(model.graph, nothing)


def _value(node: onnx.NodeProto) -> onnx.TensorProto | None:
    """Return what a Constant holds; None for strings."""
    given = node.attribute[0] if node.attribute else onnx.AttributeProto()
    match given.name:
        case "value":
            tensor: onnx.TensorProto = given.t
            return tensor
        case "value_int" | "value_ints":
            return numpy_helper.from_array(np.array(helper.get_attribute_value(given), np.int64))
        case "value_float" | "value_floats":
            return numpy_helper.from_array(np.array(helper.get_attribute_value(given), np.float32))
        case "sparse_value":
            return _dense(given.sparse_tensor)
        case _:
            return None


def write_sparse_as_dense(model: onnx.ModelProto) -> None:
    """Write sparse weights with their zeros."""
    model.graph.initializer.extend(map(_dense, model.graph.sparse_initializer))
    del model.graph.sparse_initializer[:]


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """Indices are those of the values in one row, or a row of them for each value (onnx.proto)."""
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    whole = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        whole.reshape(-1)[indices] = values
    else:
        whole[tuple(indices.T)] = values
    return numpy_helper.from_array(whole, sparse.values.name)


def drop_unread_inputs(model: onnx.ModelProto) -> None:
    """Remove inputs that no node reads."""
    read = {name for node in model.graph.node for name in read_by(node)}
    read |= {value.name for value in model.graph.output}
    kept = [value for value in model.graph.input if value.name in read]
    if kept and len(kept) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(kept)
