"""The graph for programs that hand over planes of floats, as DeepStream does: pixels as they are, 0 to 255.

The normalisation stays in the graph, so such a program computes nothing: every uint8 is a float exactly.
"""

import onnx
from onnx import TensorProto, helper

from calibration.onnx_graph import IMAGE
from targets.errors import EngineError

PROBABILITIES = "probabilities"
LAST_LAYER = "Softmax"


def with_planar_input(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the graph with `image` as float32 [N, C, H, W] of pixel values, and probabilities as its output.

    `model` reads uint8 [N, H, W, C] and writes logits [N, classes, ...]; between the new ends each node
    computes what it did. Raises EngineError if it reads something else.
    """
    found = onnx.ModelProto()
    found.CopyFrom(model)
    graph = found.graph
    (image,) = graph.input
    (logits,) = graph.output
    kind = image.type.tensor_type
    if image.name != IMAGE or kind.elem_type != TensorProto.UINT8 or len(kind.shape.dim) != 4:
        raise EngineError(f"the graph reads {image.name}, not uint8 pixels [N, H, W, C] called {IMAGE}")
    batch, height, width, channels = kind.shape.dim
    dims = [batch.dim_param or batch.dim_value, *(d.dim_value for d in (channels, height, width))]
    pixels = f"{IMAGE}/as_pixels"
    for node in graph.node:
        for slot, name in enumerate(node.input):
            if name == IMAGE:
                node.input[slot] = pixels
    graph.node.insert(0, helper.make_node("Transpose", [IMAGE], [pixels], pixels, perm=[0, 2, 3, 1]))
    graph.node.append(helper.make_node(LAST_LAYER, [logits.name], [PROBABILITIES], PROBABILITIES, axis=1))
    image.CopyFrom(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, dims))
    logits.name = PROBABILITIES
    del graph.value_info[:]  # of the pixels' type
    try:
        onnx.checker.check_model(found, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise EngineError(
            f"the graph computes with its pixels before it makes floats of them: {error}"
        ) from error
    return found
