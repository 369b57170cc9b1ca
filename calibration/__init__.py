"""From a float ONNX model to an INT8 one: recipes, observers, ranges, Q/DQ. Imports nothing above it."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""onnxruntime since 1.29 reports sessions and models to its maker, unless told so before its first import."""
