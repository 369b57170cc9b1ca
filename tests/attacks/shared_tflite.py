"""Small .tflite files whose tables point at the same bytes again and again."""

from collections.abc import Callable
from typing import Any


def _repeated(builder: Any, start: Callable[..., int], offset: int, times: int) -> int:  # noqa: ANN401 -- untyped
    start(builder, times)
    for _ in range(times):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _one(builder: Any, start: Callable[..., int], value: int) -> int:  # noqa: ANN401 -- untyped
    start(builder, 1)
    builder.PrependInt32(value)
    return int(builder.EndVector())


def shared(subgraphs: int = 1, tensors: int = 1, name: int = 4, side: int = 8) -> bytes:
    """Return a file that names one subgraph, one tensor and one name of so many characters so many times."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    builder = flatbuffers.Builder(1 << 16)
    text = builder.CreateString("n" * name)
    schema.TensorStartShapeVector(builder, 4)
    for number in (3, side, side, 1):
        builder.PrependInt32(number)
    shape = builder.EndVector()
    schema.TensorStart(builder)
    schema.TensorAddName(builder, text)
    schema.TensorAddShape(builder, shape)
    one = schema.TensorEnd(builder)
    listed = _repeated(builder, schema.SubGraphStartTensorsVector, one, tensors)
    source = _one(builder, schema.SubGraphStartInputsVector, 0)
    result = _one(builder, schema.SubGraphStartOutputsVector, 0)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, listed)
    schema.SubGraphAddInputs(builder, source)
    schema.SubGraphAddOutputs(builder, result)
    graph = schema.SubGraphEnd(builder)
    graphs = _repeated(builder, schema.ModelStartSubgraphsVector, graph, subgraphs)
    schema.BufferStart(builder)
    buffers = _repeated(builder, schema.ModelStartBuffersVector, schema.BufferEnd(builder), 1)
    schema.ModelStart(builder)
    schema.ModelAddVersion(builder, 3)
    schema.ModelAddSubgraphs(builder, graphs)
    schema.ModelAddBuffers(builder, buffers)
    builder.Finish(schema.ModelEnd(builder), b"TFL3")
    return bytes(builder.Output())
