"""Says why a build's INT8 network gives one picture another class than FP32: docs/diff.md."""
