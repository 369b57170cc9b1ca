"""What to do where a build does not pass against its baseline: one or two things, with the numbers."""

import math

from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.next_steps import with_next_step
from pipeline.report.plausibility import NAME as PLAUSIBLE

DROP, SIZE, LATENCY = "baseline_drop", "baseline_size", "baseline_latency"
ACCEPT = "if this is what you want, `edgec baseline save`"


def with_regression_step(gate: Gate, report: Report) -> Gate:
    """Return a gate of a comparison that says what to do next; one that passes as it is."""
    if gate.name == PLAUSIBLE or gate.verdict is Verdict.PASS:
        return with_next_step(gate, report.accuracy, report.end_to_end)
    decided = gate.verdict is Verdict.FAIL
    return gate.replace(next_step=_to_pass(gate) if decided else _to_decide(gate, report))


def _to_decide(gate: Gate, report: Report) -> str:
    highest = gate.interval.high if gate.interval is not None else None
    if gate.name == LATENCY:
        looser = "" if highest is None else f", or allow --max-latency {math.ceil(100 * highest + 1) / 100:g}"
        return f"Close other programs and compare again{looser}."
    images, wanted = report.accuracy.rates[0][1].images, gate.images_to_decide
    add = f"Add {wanted - images:,} evaluation images to the {images:,}" if wanted and wanted > images else ""
    looser = "" if highest is None else f"allow --max-drop {math.floor(10 * highest + 1) / 10:g}"
    said = ", or ".join(filter(None, [add, looser])) or "add evaluation images"
    return f"{said[:1].upper()}{said[1:]}."


def _to_pass(gate: Gate) -> str:
    if gate.name == DROP:
        return (
            "What moved names the tools and settings that changed: go back to those of the baseline and build"
            f" again; {ACCEPT}."
        )
    if gate.name == SIZE:
        return f"Another recipe, network or compiler made the engine larger: see what moved; {ACCEPT}."
    return (
        "`edgec tune` tries other blocks on this machine; tools that moved may have compiled slower code;"
        f" {ACCEPT}, or allow --max-latency {math.ceil(100 * (gate.value or gate.limit) + 1) / 100:g}."
    )
