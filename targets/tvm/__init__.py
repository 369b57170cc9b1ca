"""The integer compiler: Q/DQ graphs become kernels that TVM generates, in an engine without a runtime."""
