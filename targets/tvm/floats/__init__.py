"""Operators without an integer form, in float32 through TVM's Relax, with the same bits on every machine.

- `relax` turns an island (an ONNX graph of static shapes) into TIR functions and the calls that run them. The
  TIR does not depend on the instruction set: one order of additions, multiply-adds fused where TIR says so.
- `mathematics` gives exp, sigmoid and the like as float32 arithmetic. C libraries differ in their last bits.
- `codegen` lets LLVM compile that without re-associating sums or fusing anything else.
- `reference` runs the same calls in the build process, for the oracle.

What two machines may still differ in is the sign and payload of a NaN.
"""
