"""The one output that edgec compiles: the only one, or the one that the description names.

A tensor inside the graph may be named, too: the scores in front of an ArgMax.
"""

import onnx
from onnx import helper, shape_inference


def output_names(model: onnx.ModelProto) -> list[str]:
    """Return the names of the outputs, each once."""
    return list(dict.fromkeys(value.name for value in model.graph.output))


def is_computed(model: onnx.ModelProto, name: str) -> bool:
    """Whether a node of the main graph computes a tensor."""
    return any(name in node.output for node in model.graph.node)


def keep_output(model: onnx.ModelProto, name: str) -> None:
    """Make a tensor the only output of a model, which has it as an output or computes it."""
    found = next((value for value in model.graph.output if value.name == name), None)
    if found is None:
        inferred = shape_inference.infer_shapes(model).graph.value_info
        found = next((value for value in inferred if value.name == name), None)
    kept = helper.make_empty_tensor_value_info(name) if found is None else found
    kept = onnx.ValueInfoProto.FromString(kept.SerializeToString())
    del model.graph.output[:]
    model.graph.output.append(kept)
