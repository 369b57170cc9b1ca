"""Builds one row of a matrix, and takes its figures from its report."""

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from calibration.errors import CalibrationError
from pipeline.build.board_pool import on_boards_alike
from pipeline.build.plan import Build
from pipeline.build.publish import publish
from pipeline.config import BuildConfig
from pipeline.errors import PipelineError
from pipeline.extras import naming_missing_extras
from pipeline.matrix.planned_rows import PlannedRow
from pipeline.progress import Progress
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.matrix_report import BuiltRow, RowFigures
from pipeline.report.model.paired_figures import PairedRate
from pipeline.report.stats import wilson_interval
from targets.errors import TargetError


@dataclass(frozen=True)
class RowOutcome:
    """How a row ended: the path of its report, or why there is none."""

    report: Path | None = None
    problem: str = ""
    stages_run: int = 0
    stages_known: int = 0
    seconds: float = 0.0


def build_row(row: PlannedRow, progress: Progress) -> RowOutcome:
    """Build a row as `edgec build` does. An error that the user can mend is its outcome; a bug is raised."""
    start = perf_counter()
    build: Build | None = None

    def published(config: BuildConfig) -> Build:
        nonlocal build
        build = Build(config, progress)
        publish(build, row.name)
        return build

    problem, report = "", None
    try:
        with naming_missing_extras():
            build = on_boards_alike(row.config, published, progress)
        report = row.config.out / row.name / "report.json"
    except (PipelineError, TargetError, CalibrationError) as error:
        problem = str(error)
    known = [step.cached for step in build.steps] if build is not None else []
    return RowOutcome(report, problem, known.count(False), known.count(True), perf_counter() - start)


def ended(row: PlannedRow, outcome: RowOutcome) -> BuiltRow:
    """Return the row with the figures of its report. Raises ReportError if that cannot be read."""
    found = None if outcome.report is None else figures_of(outcome.report, row.config.out)
    return waiting(row).replace(
        state="failed" if found is None else "finished",
        problem=outcome.problem,
        figures=found,
        stages_run=outcome.stages_run,
        stages_known=outcome.stages_known,
        seconds=outcome.seconds,
    )


def waiting(row: PlannedRow) -> BuiltRow:
    """Return the row as it is before it is built."""
    return BuiltRow(
        name=row.name,
        model=row.model,
        recipe=row.recipe,
        target=row.target,
        device=row.device,
        state="waiting",
    )


def figures_of(file: Path, out: Path) -> RowFigures:
    """Return the figures by which rows are compared. Raises ReportError if the report cannot be read."""
    report = Report.load(file)
    accuracy, latency, memory = report.accuracy, report.latency_int8, report.memory_int8
    counted, rate = accuracy.rates[0]
    timed = None if isinstance(latency, NotMeasured) else latency
    return RowFigures(
        verdict=report.verdict,
        gates=report.gates,
        recipe=report.subject.recipe,
        dataset=report.subject.dataset,
        evaluation_digest=report.subject.evaluation_digest,
        images=rate.images,
        counted=counted,
        fp32=rate.fp32,
        int8=rate.int8,
        int8_interval=wilson_interval(rate.int8_correct, rate.images)
        if isinstance(rate, PairedRate)
        else None,
        drop_points=rate.drop_points,
        drop_interval=rate.drop_interval,
        int8_right=accuracy.int8_right if isinstance(accuracy, Accuracy) else None,
        p50=None if timed is None else timed.p50,
        p50_origin=None if timed is None else timed.origin,
        instructions=None if report.instructions_int8 is None else report.instructions_int8.per_inference,
        engine_bytes=report.sizes.engine,
        memory_bytes=None if isinstance(memory, NotMeasured) else memory.peak_bytes,
        machine=report.machines[1].description,
        report=file.relative_to(out).as_posix(),
    )
