"""From a float ONNX model to an INT8 one: recipes, observers, ranges, Q/DQ. Imports nothing above it."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
"""Disables telemetry: since 1.29, onnxruntime reports sessions and models, unless set before its import."""
