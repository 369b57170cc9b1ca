"""TensorFlow Lite files: read, written as ONNX, and run by their own interpreter."""
