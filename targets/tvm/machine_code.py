"""Compiles TIR functions into an object file, with TVM's passes and LLVM."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm.tirx import transform

from targets.tvm.isa import Isa
from targets.tvm.kernels.emitter import FLAT_ADDRESSES


def compile_object(functions: Sequence[Any], isa: Isa, output: Path) -> None:
    """Write an object file with one plain C symbol a function and no undefined symbol of TVM's."""
    _generate(functions, isa).write_to_file(str(output), "o")


def assembly(function: Any, isa: Isa) -> str:  # noqa: ANN401 -- a tvm PrimFunc
    """Return the assembly of one function."""
    text: str = _generate([function], isa).inspect_source("asm")
    return text


def optimised(functions: Sequence[Any], isa: Isa) -> str:
    """Return LLVM's optimised IR of the functions, as text."""
    text: str = _generate(functions, isa).inspect_source("ll")
    return text


def _generate(functions: Sequence[Any], isa: Isa) -> Any:  # noqa: ANN401 -- a tvm Module
    target = _target(isa)
    return tvm.get_global_func("target.build.llvm")(lowered(functions, isa), target)


def lowered(functions: Sequence[Any], isa: Isa) -> Any:  # noqa: ANN401 -- a tvm IRModule
    """Return the lowered module that LLVM gets. Only the passes that these functions need are run."""
    target = _target(isa)
    module = tvm.IRModule({f.attrs["global_symbol"]: f for f in functions})
    module = transform.BindTarget(target.with_host(target))(module)
    for lowering in (transform.StmtSimplify(), _flattened, transform.LowerIntrin()):
        module = lowering(module)
    return module


def _target(isa: Isa) -> Any:  # noqa: ANN401 -- a tvm Target
    return tvm.target.Target(
        {"kind": "llvm", "mtriple": isa.triple, "mcpu": isa.cpu, "mattr": list(isa.features), "num-cores": 1}
    )


def _flattened(module: Any) -> Any:  # noqa: ANN401 -- a tvm IRModule
    """Flatten the buffers of functions whose addresses are not said to be flat.

    The pass adds an offset of zero to each address. Where the address is a constant, the sum of two vectors
    is left, and LLVM gets one load an element and takes seconds to make vectors of them again.
    """
    functions = dict(module.functions.items())
    rest = {name: f for name, f in functions.items() if FLAT_ADDRESSES not in f.attrs}
    flattened = transform.FlattenBuffer()(tvm.IRModule(rest))
    return tvm.IRModule({name: flattened[name] if name in rest else f for name, f in functions.items()})
