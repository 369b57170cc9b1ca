"""Decides whether two networks are the same, from what was found and how far their logits agree."""

from dataclasses import dataclass, replace

import numpy as np
import onnx
from numpy.typing import NDArray

from pipeline.difference.compare import NetworkComparison
from pipeline.difference.decibels import ARITHMETIC_DB
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.observed import MOST
from pipeline.difference.real_graph import read_real_graph
from pipeline.difference.rounded_again import rounding_db
from pipeline.difference.summed_rounding import RoundingCost, rounding_cost, with_every_shift
from pipeline.report.model.difference_report import Sameness

FAR_OUTPUTS_DB = 20.0
"""Logits that agree less than this are different where only the outputs can be compared, so that nothing
shows that it is rounding."""
FAR_FLOATS_DB = 30.0
"""Logits that agree less than this are different where neither network rounds. Where one does, the verdict
rests on what its own rounding costs."""


@dataclass(frozen=True)
class Judged:
    """The verdict on two networks, and what it rests on."""

    verdict: Sameness
    findings: tuple[Discrepancy, ...] = ()
    found: NetworkComparison | None = None
    """None where only the outputs were compared."""
    cost: RoundingCost | None = None
    """What rounding costs; None where neither rounds, or where faults explain the difference."""


def judge(found: NetworkComparison, agreement_db: float) -> Judged:
    """Return the verdict on two networks whose logits agree to `agreement_db`."""
    found = with_every_shift(found)
    is_itself = found.sides.a.model == found.sides.b.model
    if found.findings or is_itself or not rounds(found):
        far = -np.inf if is_itself else FAR_FLOATS_DB
        return Judged(_verdict(agreement_db, found.findings, far), found.findings, found)
    cost = rounding_cost(found, agreement_db)
    found = replace(found, findings=cost.findings)
    far = -np.inf if cost.explains_it else np.inf
    return Judged(_verdict(agreement_db, found.findings, far), found.findings, found, cost)


def judge_outputs(
    graph: onnx.ModelProto | None,
    agreement_db: float,
    findings: tuple[Discrepancy, ...],
    pictures: NDArray[np.uint8],
) -> Judged:
    """Return the verdict where only the outputs can be compared; `graph` is of the side that has one.

    They cannot decide where rounding the graph a second time moves its logits as far as they are apart.
    """
    if not findings and agreement_db < FAR_OUTPUTS_DB and graph is not None:
        cost = RoundingCost(agreement_db, rounding_db((read_real_graph(graph),), pictures[:MOST]))
        if cost.explains_it:
            return Judged(Sameness.NOT_COMPARABLE, cost=cost)
    return Judged(_verdict(agreement_db, findings, FAR_OUTPUTS_DB), findings)


def rounds(found: NetworkComparison) -> bool:
    """Whether one of two networks rounds weights or tensors to integers."""
    return any(graph.weight_steps or graph.all_grids for graph in (found.sides.a, found.sides.b))


def _verdict(agreement_db: float, findings: tuple[Discrepancy, ...], far_db: float) -> Sameness:
    """Return the verdict where logits that agree to less than `far_db` are different."""
    if findings or agreement_db < far_db:
        return Sameness.DIFFERENT
    return Sameness.ARITHMETIC if agreement_db >= ARITHMETIC_DB else Sameness.ROUNDING
