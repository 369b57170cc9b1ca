"""Reorders loops: reductions outside, the result's last dimension inside, so that LLVM can vectorise.

Every sum still adds its terms in the order of the reduction's own loops, one after the other.
"""

from typing import Any

import tvm
from tvm.s_tir import Schedule
from tvm.tirx import IterVar


def ordered(function: Any) -> Any:  # noqa: ANN401 -- a tvm PrimFunc
    """Return the function with the loops of its reductions reordered."""
    schedule = Schedule(tvm.IRModule({"main": function}))
    for block in schedule.get_child_blocks(schedule.get_sblock("root", func_name="main")):
        _order(schedule, block)
    return schedule.mod["main"]


def _order(schedule: Any, block: Any) -> None:  # noqa: ANN401 -- tvm's
    loops, kinds = schedule.get_loops(block), [v.iter_type for v in schedule.get(block).iter_vars]
    if len(loops) != len(kinds) or IterVar.CommReduce not in kinds:
        return
    reduced = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == IterVar.CommReduce]
    kept = [loop for loop in loops if not any(loop.same_as(r) for r in reduced)]
    inner = next((i for i in reversed(range(len(kept))) if _extent(schedule, kept[i]) > 1), None)
    if schedule.get(block).init is not None:
        schedule.decompose_reduction(block, loops[0])
    if inner is not None:
        schedule.reorder(*kept[:inner], *kept[inner + 1 :], *reduced, kept[inner])


def _extent(schedule: Any, loop: Any) -> int:  # noqa: ANN401 -- tvm's
    return int(schedule.get(loop).extent)
