"""Compiles float functions: LLVM IR from TVM, without fusing or re-associating operations.

TVM's own code generation lets LLVM fuse multiplications with additions, which differs between instruction
sets. Its IR defines the arithmetic exactly, so zig's clang compiles that IR with contraction disabled.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tvm
from tvm.tirx import transform

from targets.errors import EngineError
from targets.runtime.zig import run_zig
from targets.tvm.isa import ISAS, Isa

_EXACT = re.compile(
    r"llvm\.(fma|fabs|sqrt|floor|ceil|trunc|rint|nearbyint|roundeven|copysign|minnum|maxnum|minimum|maximum|"
    r"smin|smax|umin|umax|abs|mem(cpy|set|move)|vector\.|masked\.|lifetime\.|assume|experimental\.noalias|"
    r"usub\.sat|uadd\.sat|ssub\.sat|sadd\.sat|fshl|fshr|ctpop|ctlz|cttz|is\.fpclass|dbg\.)"
)
"""Intrinsics that IEEE 754 or integer arithmetic defines to the last bit."""


def compile_floats(functions: Mapping[str, Any], isa: Isa, output: Path, plain: bool = False) -> None:
    """Write an object file with one C symbol a function; `plain` leaves it unoptimised.

    Raises EngineError for functions whose results are not the same everywhere.
    """
    text = llvm_ir(functions, isa, plain)
    source = output.with_suffix(".ll")
    source.write_text(text)
    machine = isa.triple.split("-")[0]
    optimise = "-O0" if plain else "-O2"
    quiet = ["-Wno-override-module", "-Wno-unused-command-line-argument"]
    options = ["-target", f"{machine}-linux-musl", "-fPIC", optimise, "-ffp-contract=off", *quiet]
    done = run_zig([*options, "-c"], [source], output)
    if done.returncode:
        raise EngineError(f"compiling the float operators failed:\n{done.stderr[-2000:]}")


def llvm_ir(functions: Mapping[str, Any], isa: Isa, plain: bool = False) -> str:
    """Return LLVM's IR. TIR is lowered for one instruction set, so that all targets compute the same."""
    common = _target(ISAS["avx2"])
    module = tvm.IRModule(
        {
            name: f.with_attr({"global_symbol": name, "tirx.noalias": True, "calling_conv": 1})
            for name, f in functions.items()
        }
    )
    for step in (transform.BindTarget(common.with_host(common)), transform.LowerIntrin()):
        module = step(module)
    target = _target(isa, 0 if plain else 3)
    rebound = tvm.IRModule({v: f.with_attr("target", target) for v, f in module.functions.items()})
    text: str = tvm.get_global_func("target.build.llvm")(rebound, target).inspect_source("ll")
    called = re.findall(r"^declare .*?@([\w.]+)\(", text, re.MULTILINE)
    inexact = sorted(name for name in called if not _EXACT.match(name))
    if inexact:
        raise EngineError(
            f"The float operators use {', '.join(inexact)}, whose last bits differ between machines."
        )
    return text


def _target(isa: Isa, level: int = 3) -> Any:  # noqa: ANN401 -- a tvm Target
    return tvm.target.Target(
        {
            "kind": "llvm",
            "mtriple": isa.triple,
            "mcpu": isa.cpu,
            "mattr": list(isa.features),
            "num-cores": 1,
            "opt-level": level,
        }
    )
