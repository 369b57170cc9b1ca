"""Machine code: TIR functions through TVM's passes and LLVM into an object file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm.tirx import transform

from targets.tvm.isa import Isa


def compile_object(functions: Sequence[Any], isa: Isa, output: Path) -> None:
    """Write an object file with one plain C symbol a function and no undefined symbol of TVM's.

    Only the passes that these functions need run: their addresses are flat and nothing is packed.
    """
    target = tvm.target.Target(
        {"kind": "llvm", "mtriple": isa.triple, "mcpu": isa.cpu, "mattr": list(isa.features), "num-cores": 1}
    )
    module = tvm.IRModule({f.attrs["global_symbol"]: f for f in functions})
    module = transform.BindTarget(target.with_host(target))(module)
    for lowering in (transform.StmtSimplify(), transform.FlattenBuffer(), transform.LowerIntrin()):
        module = lowering(module)
    tvm.get_global_func("target.build.llvm")(module, target).write_to_file(str(output), "o")
