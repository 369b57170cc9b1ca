"""Jetson GPUs by TensorRT: the ONNX files that a device builds its engine from, and their checks."""
