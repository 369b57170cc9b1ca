"""Recipes, observers, ranges and Q/DQ insertion: from a float ONNX model to an INT8 one. Imports nothing above it."""
