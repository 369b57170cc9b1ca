"""Made-up rows of a matrix."""

import numpy as np

from pipeline.report.best_rows import choices_of, contests_of
from pipeline.report.gates import drop_gate
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.matrix_report import Budget, BuiltRow, MatrixReport, RowFigures
from pipeline.report.model.measured_latency import Quantile
from pipeline.report.paired import pack_bits, paired_images
from pipeline.report.stats import wilson_interval
from targets.base import Origin

IMAGES = 1000


def finished(
    name: str,
    right: int,
    ms: float | None = 1.0,
    engine: int = 100,
    *,
    spread: float = 0.01,
    instructions: int | None = None,
    verdict: Verdict = Verdict.PASS,
    target: str = "host",
    device: str = "none",
    evaluation: int = 7,
) -> BuiltRow:
    """A row that is right about the first `right` of 1,000 images; engine in KiB."""
    answers = np.arange(IMAGES) < right
    fp32 = np.arange(IMAGES) < right + 2
    paired = paired_images(fp32, answers)
    gate = drop_gate(paired, 1.0, Origin.HOST).model_copy(update={"verdict": verdict})
    interval = Interval(low=0, high=1) if ms is None else Interval(low=ms - spread, high=ms + spread)
    figures = RowFigures(
        verdict=verdict,
        gates=(gate,),
        recipe="w8a8_asym_minmax",
        dataset="fashion-mnist",
        evaluation_digest=f"{evaluation:064x}",
        images=IMAGES,
        counted="top-1",
        fp32=paired.fp32,
        int8=paired.int8,
        int8_interval=wilson_interval(right, IMAGES),
        drop_points=paired.drop_points,
        drop_interval=paired.drop_interval,
        int8_right=pack_bits(answers),
        p50=None if ms is None else Quantile(ms=ms, interval=interval),
        p50_origin=None if ms is None else Origin.HOST,
        instructions=instructions,
        engine_bytes=1024 * engine,
        memory_bytes=None,
        machine="AMD EPYC",
        report=f"{name}/report.json",
    )
    return row(name, target, device).replace(
        state="finished", figures=figures, stages_run=3, stages_known=9, seconds=2.5
    )


def row(name: str, target: str, device: str) -> BuiltRow:
    """A row before it is built."""
    return BuiltRow(name=name, model=name, recipe="default", target=target, device=device, state="waiting")


def failed(name: str, problem: str) -> BuiltRow:
    """A row without a result."""
    return row(name, "host", "none").replace(state="failed", problem=problem)


def waiting(name: str) -> BuiltRow:
    """A row that is not built yet."""
    return row(name, "host", "none")


def whole_matrix() -> MatrixReport:
    """A matrix in which everything occurs, with names that have to be escaped and to wrap."""
    rows = [
        finished("resnet20-host", 921, 0.12, 290),
        finished("resnet20-host-w8a8_sym_minmax", 920, 0.12, 291),
        finished("resnet8-host", 861, 0.041, 88, verdict=Verdict.INCONCLUSIVE),
        finished("resnet8-host-w8a8_sym_minmax", 720, 0.042, 88, verdict=Verdict.FAIL),
        *(
            finished(f"{name}-rpi5", right, None, size, instructions=million * 10**6, target="rpi5")
            for name, right, size, million in (("resnet20", 921, 700, 61), ("resnet8", 861, 500, 18))
        ),
        failed("a<b>-host", "There is no data set <nowhere>. Give a folder."),
        waiting("resnet56-host"),
    ]
    budgets = (Budget(name="camera", p50_ms=0.05), Budget(name="flash", engine_kib=300.0, memory_mib=9.0))
    contests = contests_of(rows)
    choices = choices_of(rows, contests, budgets)
    return MatrixReport(name="release", rows=tuple(rows), contests=contests, choices=choices)
