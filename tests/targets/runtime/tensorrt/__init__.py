"""TensorRT on the device."""
