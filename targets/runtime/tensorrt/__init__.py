"""TensorRT on the device: building engines there, timing and running them."""
