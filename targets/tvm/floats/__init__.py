"""Runs operators without an integer form in float32, by TVM's Relax, with the same bits on every machine.

- `relax` turns an island (an ONNX graph of static shapes) into TIR functions and the calls that run them. The
  TIR does not depend on the instruction set: one order of additions, multiply-adds fused where TIR says so.
- `mathematics` writes exp, sigmoid and others as float32 arithmetic. C libraries differ in their last bits.
- `float_code` compiles that with LLVM, without re-associating sums or fusing anything else.
- `island_oracle` runs the same calls in the build process, for the oracle.

Only the sign and payload of a NaN may differ between machines.
"""
