from targets.tensorrt.rtx_layers import not_in, read_layers

LOG = """\
Name: shape, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: , StreamId: 0, Metadata: 
Adding network input: image with dtype: uint8
Name: conv1_myl0_2, LayerType: correlation, Inputs: [ { Name: a, Dimensions: [-1,8,16,16], Datatype: Int8, Format: (x) }], \
Constants: [ { Name: w, Dimensions: [8,8,3,3], Strides: [1,2], Datatype: Int8, Format: (x) }, { Name: s, Datatype: Float }], \
Outputs: [ { Name: b, Datatype: Float }], TacticName: t, StreamId: 0, \
Metadata: [ONNX Layer: /conv1/Conv][ONNX Layer: x/DequantizeLinear]
Name: conv2_myl0_3, LayerType: correlation, Inputs: [ { Name: a, Datatype: Half }, { Name: w, Datatype: Half }], \
Constants: [ { Name: s, Datatype: Float }], Outputs: [ { Name: b, Datatype: Half }], TacticName: t, StreamId: 0, \
Metadata: [ONNX Layer: /conv2/Conv]
Name: kgen_4, LayerType: kgen, Inputs: [ { Name: a, Datatype: Int8 }, { Name: b, Datatype: Float }], \
Constants: [ { Name: s, Datatype: Float }], Outputs: [ { Name: c, Datatype: Int8 }], TacticName: t, StreamId: 0, \
Metadata: [ONNX Layer: /conv2/Conv][ONNX Layer: /Add]
"""  # noqa: E501, W291 - as they are written


def test_a_layer_is_read_with_its_types_and_the_nodes_it_came_from() -> None:
    layers = read_layers(LOG.splitlines())
    assert [layer.name for layer in layers] == ["shape", "conv1_myl0_2", "conv2_myl0_3", "kgen_4"]
    conv = layers[1]
    assert (conv.kind, conv.inputs, conv.constants) == ("correlation", ("Int8",), ("Int8", "Float"))
    assert (conv.outputs, conv.nodes) == (("Float",), ("/conv1/Conv", "x/DequantizeLinear"))


def test_a_convolution_in_float_is_named_even_if_an_int8_kernel_follows_it() -> None:
    layers = read_layers(LOG.splitlines())
    assert not_in("Int8", layers, ["/conv1/Conv", "/conv2/Conv"]) == ["/conv2/Conv"]


def test_a_convolution_that_no_layer_speaks_of_is_named() -> None:
    assert not_in("Int8", read_layers([]), ["/conv1/Conv"]) == ["/conv1/Conv"]
