"""Compiles TIR functions into an object file, with TVM's passes and LLVM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm.tirx import transform

from targets.tvm.isa import Isa


def compile_object(functions: Sequence[Any], isa: Isa, output: Path) -> None:
    """Write an object file with one plain C symbol a function and no undefined symbol of TVM's."""
    _generate(functions, isa).write_to_file(str(output), "o")


def assembly(function: Any, isa: Isa) -> str:  # noqa: ANN401 -- a tvm PrimFunc
    """Return the assembly of one function."""
    text: str = _generate([function], isa).inspect_source("asm")
    return text


def optimised(functions: Sequence[Any], isa: Isa) -> str:
    """Return what LLVM makes of functions before it chooses instructions: its own code, as text."""
    text: str = _generate(functions, isa).inspect_source("ll")
    return text


def _generate(functions: Sequence[Any], isa: Isa) -> Any:  # noqa: ANN401 -- a tvm Module
    """Only the passes that these functions need run: their addresses are flat and nothing is packed."""
    target = tvm.target.Target(
        {"kind": "llvm", "mtriple": isa.triple, "mcpu": isa.cpu, "mattr": list(isa.features), "num-cores": 1}
    )
    module = tvm.IRModule({f.attrs["global_symbol"]: f for f in functions})
    module = transform.BindTarget(target.with_host(target))(module)
    for lowering in (transform.StmtSimplify(), transform.FlattenBuffer(), transform.LowerIntrin()):
        module = lowering(module)
    return tvm.get_global_func("target.build.llvm")(module, target)
