"""The version of ONNX's operators in which every float model is written."""

OPSET = 17
"""The newest that TensorRT 8.5 reads."""
