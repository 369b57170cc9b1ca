"""The networks that edgec knows, foreign ONNX files, and reading weights from files."""
