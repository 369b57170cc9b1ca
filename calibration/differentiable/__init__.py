"""ONNX operators in torch, with gradients."""
