"""From a float ONNX model to an INT8 one: recipes, observers, ranges, Q/DQ. Imports nothing above it."""
