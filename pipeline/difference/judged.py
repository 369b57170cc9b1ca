"""Compares two sides from pictures to a report."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray

from pipeline.difference.changed_classes import changed_classes
from pipeline.difference.compare import compare
from pipeline.difference.decibels import ARITHMETIC_DB, MOST_DB, ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.output_check import check_output
from pipeline.difference.picture_source import PictureSource
from pipeline.difference.recorded_pictures import RecordedSearch
from pipeline.difference.remedies import RemedyTrial, try_remedies
from pipeline.difference.restored import restore_each
from pipeline.difference.shown_evidence import ReadPicture, histograms, read_pictures
from pipeline.difference.side import Pictures, Side, graph_logits
from pipeline.difference.verdict import Judged, judge, judge_outputs, rounds
from pipeline.report.figures import percent
from pipeline.report.model.difference_report import (
    DifferenceReport,
    FoundFault,
    LogitAgreement,
    RestoredTensor,
    Sameness,
    SeenPicture,
    TensorAgreement,
    TensorHistogram,
    TriedRemedy,
)
from pipeline.report.thumbnails import png_base64, shrink
from targets.processor import cpu_name

Array = NDArray[Any]
SHOWN_SIDE = 96
"""Pixels of a picture in the report."""
SPREAD_OUT = (
    "No operator alone differs by more than rounding, so something small differs in many places. See which"
    " tensors matter."
)


def difference_of(
    a: Side,
    b: Side,
    pictures: Pictures,
    every_tensor: bool = False,
    source: PictureSource | None = None,
) -> DifferenceReport:
    """Compare B with A on pictures uint8 [N, H, W, C], tensor by tensor if both have graphs.

    every_tensor: also compare the tensors inside an engine or interpreter with its graph.
    source: where the pictures are from. With it, other ways to prepare them are tried for recorded logits.
    """
    unlike = list(_sizes(a, b))
    if unlike:
        return _report(a, b, unlike, None, Judged(Sameness.NOT_COMPARABLE))
    notes = [*a.notes, *b.notes]
    if every_tensor:
        notes += [f"{one.name}: {one.inspected(pictures)}" for one in (a, b) if one.inspected is not None]
    ours, theirs = a.logits(pictures), b.logits(pictures)
    if ours.size != theirs.size:
        shapes = f"A gives {list(ours.shape[1:])} numbers for a picture, B {list(theirs.shape[1:])}"
        return _report(a, b, [*notes, shapes], None, Judged(Sameness.NOT_COMPARABLE))
    theirs = theirs.reshape(ours.shape)
    notes += _not_numbers(a, ours) + _not_numbers(b, theirs)
    answers = _logit_agreement(ours, theirs)
    overflows = [one.overflowed(pictures) for one in (a, b) if one.overflowed is not None]
    overflow = next((one for one in overflows if one is not None), None)
    if answers.equal_bits and overflow is None:
        return _report(a, b, notes, answers, Judged(Sameness.IDENTICAL))
    if a.graph is None or b.graph is None:
        findings = _at_outputs(a, b, answers, ours, theirs, pictures, source)
        judged = judge_outputs(a.graph or b.graph, answers.agreement_db, findings, pictures)
        return _report(a, b, [*notes, _closed(a, b)], answers, judged)
    programs = (_as_its_graph(a, pictures, ours), _as_its_graph(b, pictures, theirs))
    notes += [one.note for one in programs if one.note]
    found = compare(a.graph, b.graph, pictures)
    if overflow is not None:
        found = replace(found, findings=(overflow, *found.findings))
    judged = judge(found, answers.agreement_db)
    if not all(one.computes_it for one in programs):
        judged = replace(judged, verdict=Sameness.DIFFERENT)
    return _report(a, b, notes, answers, judged)


def _sizes(a: Side, b: Side) -> Iterable[str]:
    if a.size is not None and b.size is not None and a.size != b.size:
        first, second = ("x".join(map(str, side.size or ())) for side in (a, b))
        yield f"A takes pictures of {first} (height, width, channels), B of {second}"


def _not_numbers(side: Side, found: Array) -> list[str]:
    wrong = int((~np.isfinite(found.reshape(len(found), -1)).all(1)).sum())
    whose = f"{side.name}: the logits of {wrong} of {len(found)} pictures"
    return [f"{whose} are not numbers, so these pictures have no class"] if wrong else []


def _logit_agreement(ours: Array, theirs: Array) -> LogitAgreement:
    """Compare logits. What is a number in one alone counts as a difference, and names no class in either."""
    finite = np.isfinite(ours) & np.isfinite(theirs)
    alike = finite.any() and np.array_equal(np.isfinite(ours), np.isfinite(theirs))
    same_class = (ours.argmax(1) == theirs.argmax(1)) & finite.all(1)
    return LogitAgreement(
        pictures=len(ours),
        same_class=float(same_class.mean()),
        agreement_db=ratio_db(ours, theirs) if alike else -MOST_DB,
        largest_difference=float(abs(ours - theirs)[finite].max()) if finite.any() else 0.0,
        equal_bits=bool(np.array_equal(ours, theirs)),
    )


def _closed(a: Side, b: Side) -> str:
    closed = [side for side in (a, b) if side.graph is None]
    wanted = {"the network itself" if side.size is None else "the folder of the build" for side in closed}
    names = " and ".join(side.name for side in closed)
    return f"{names}: only the outputs can be compared. Give {' and '.join(sorted(wanted))} to look inside."


@dataclass(frozen=True)
class ProgramCheck:
    """Whether an engine or a runtime computes what its graph says, and what the reader has to know of it."""

    computes_it: bool
    note: str = ""


def _as_its_graph(side: Side, pictures: Pictures, found: Array) -> ProgramCheck:
    """Compare a program's logits with its graph's in onnxruntime, then with the integers that it defines."""
    assert side.graph is not None  # noqa: S101 - the caller looked
    meant = graph_logits(side.graph, pictures[:32]).reshape(found[:32].shape)
    same = ratio_db(meant, found[:32])
    if same >= side.own_db:
        return ProgramCheck(True)
    agrees = f"{side.name} agrees with its own graph to {same:.0f} dB only"
    if side.is_exact is not None and side.is_exact(pictures):
        return ProgramCheck(
            True,
            f"{agrees} in onnxruntime. Its logits have every bit that the graph's integers define (on"
            " 2 pictures): onnxruntime multiplies by scales in float, so some values round to the next step",
        )
    where = "" if side.inspected is None else f" Its tensors: {side.inspected(pictures)}."
    return ProgramCheck(
        False,
        f"{agrees}: the engine or the runtime changes what the graph says, such as by sums that leave 16"
        f" bits.{where} What follows is about the graph",
    )


def _at_outputs(
    a: Side,
    b: Side,
    answers: LogitAgreement,
    ours: Array,
    theirs: Array,
    pictures: Pictures,
    source: PictureSource | None,
) -> tuple[Discrepancy, ...]:
    """Explain a difference of logits alone: by what is done to them, else by other pictures."""
    finding = check_output("logits", ours, theirs)
    if finding is not None:
        return (finding,)
    recorded = [(a, ours), (b, theirs)]
    given = [(side, values) for side, values in recorded if side.size is None]
    if len(given) != 1 or answers.agreement_db >= ARITHMETIC_DB:
        return ()
    finding = _saturates(b if given[0][0] is a else a, pictures, given[0][1])
    if finding is not None:
        return (finding,)
    if source is None:
        return ()
    runs = b if given[0][0] is a else a
    return RecordedSearch(runs, source, given[0][1].reshape(len(ours), -1)).explained()


def _saturates(side: Side, pictures: Pictures, given: Array) -> Discrepancy | None:
    """Say so if another program gave these logits of a side's graph with sums that saturate."""
    from pipeline.difference.saturating_sums import explained_by_saturation

    return None if side.graph is None else explained_by_saturation(side.graph, pictures, given)


def _report(
    a: Side, b: Side, notes: list[str], answers: LogitAgreement | None, judged: Judged
) -> DifferenceReport:
    found, findings, cost = judged.found, judged.findings, judged.cost
    changed = None if answers is None else changed_classes(judged, answers)
    verdict = judged.verdict if changed is None else Sameness.OTHER_CLASSES
    looks = found if verdict is Sameness.DIFFERENT else None
    matters = found if changed is not None or (cost is not None and cost.is_high) else looks
    restored = () if matters is None else restore_each(matters)
    remedies = (None,) * len(findings) if looks is None else try_remedies(looks)
    return DifferenceReport(
        a=a.name,
        b=b.name,
        verdict=verdict,
        summary=_summary(answers, replace(judged, verdict=verdict)),
        rounding_db=None if cost is None else cost.again_db,
        changed_classes=changed,
        notes=tuple(notes),
        logits=answers,
        looked_inside=0 if found is None else len(found.pictures),
        matched_by="" if found is None else str(found.sides.matching.by),
        matched_share=0.0 if found is None else found.sides.matching.share,
        faults=tuple(_fault(one, tried) for one, tried in zip(findings, remedies, strict=True)),
        tensors=tuple(TensorAgreement(**asdict(one)) for one in (found.errors if found else ())),
        restored=tuple(
            RestoredTensor(
                tensor=one.tensor, logits_db=one.logits_db, same_class=one.same_class, gain=one.gain
            )
            for one in restored
        ),
        seen=() if found is None else tuple(map(_seen, read_pictures(found.sides))),
        histograms=()
        if looks is None
        else tuple(TensorHistogram(**asdict(one)) for one in histograms(looks)),
        processor=cpu_name(),
        a_ran_on=_ran_on(a),
        b_ran_on=_ran_on(b),
    )


def _ran_on(side: Side) -> str | None:
    return None if side.size is None else side.ran_on or cpu_name()


def _seen(one: ReadPicture) -> SeenPicture:
    b_png = None if one.b is None else png_base64(shrink(one.b, SHOWN_SIDE))
    return SeenPicture(a_png=png_base64(shrink(one.a, SHOWN_SIDE)), b_png=b_png)


def _fault(found: Discrepancy, tried: RemedyTrial | None) -> FoundFault:
    outcome = None if tried is None else TriedRemedy(**asdict(tried))
    return FoundFault(**{**asdict(found), "kind": str(found.kind)}, tried=outcome)


def _summary(answers: LogitAgreement | None, judged: Judged) -> str:
    """Say in one or two sentences what was found."""
    if answers is None:
        return "The two cannot be compared."
    close = f"logits agree to {answers.agreement_db:.1f} dB, the class on {percent(answers.same_class or 0)}"
    close += f" of {answers.pictures} pictures"
    match judged.verdict:
        case Sameness.IDENTICAL:
            return f"All logits have the same bits on {answers.pictures} pictures."
        case Sameness.ARITHMETIC:
            return f"The same network: {close}. Sums of floats in another order explain that."
        case Sameness.ROUNDING | Sameness.OTHER_CLASSES:
            changed = percent(1 - (answers.same_class or 0))
            other = f"B gives another class on {changed} of {answers.pictures} pictures, without a fault. "
            begins = other if judged.verdict is Sameness.OTHER_CLASSES else ""
            return f"{begins}The same network, rounded: {close}. {_how_close(judged)}"
        case Sameness.DIFFERENT:
            return f"Different: {close}{_first_of(judged)}"
        case Sameness.NOT_COMPARABLE:
            return f"Their outputs alone cannot show whether they are the same: {close}. {_undecided(judged)}"
        case _:
            assert_never(judged.verdict)


def _first_of(judged: Judged) -> str:
    if judged.findings:
        first = judged.findings[0]
        more = f", and {len(judged.findings) - 1} more" if len(judged.findings) > 1 else ""
        return (
            f". First: {first.kind} at {first.place}{more}. {first.evidence[0].upper()}{first.evidence[1:]}."
        )
    if judged.found is None:
        return ". Only the outputs could be compared, and no usual change explains them."
    if judged.cost is not None and not judged.cost.explains_it:
        return f", but {judged.cost.words}. {SPREAD_OUT}"
    if judged.found.sides.a.model == judged.found.sides.b.model or judged.cost is not None:
        return ". The two graphs are the same, up to rounding: a program leaves its graph (see the notes)."
    return f". {SPREAD_OUT}"


def _how_close(judged: Judged) -> str:
    """Say what was looked at before two networks are called the same."""
    if judged.found is None:
        return "Only the outputs were compared: they are as close as rounding to 8 bits leaves them."
    if not rounds(judged.found):
        return "Given the same inputs, each operator agrees to 50 dB or more."
    alone = "No operator differs by more than rounding to 8 bits"
    if judged.cost is None or not judged.cost.is_high:
        return f"{alone}."
    return (
        f"{alone}, but their errors add up: {judged.cost.words}. The network is right, and needs more bits."
    )


def _undecided(judged: Judged) -> str:
    if judged.cost is None:
        return ""
    return f"The network itself, {judged.cost.words}. Give both networks to compare their tensors."
