"""Compares a build with its baseline; with the old bundle, both engines are timed in alternation."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline.build.plan import Build
from pipeline.bundle.contents import opened
from pipeline.errors import MeaninglessError, NothingToCompareError, ReportError, UsageError
from pipeline.report import plausibility
from pipeline.report.baseline import Baseline, baseline_of
from pipeline.report.comparison import Comparison, compare
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.regression_limits import Limits
from pipeline.report.speed import speed_ratio
from pipeline.stages.measure_latency import first_images
from targets.measure_apart import measure_in_child
from targets.runtime.bundle.signature import PublicKey


def save_baseline(build: Build, folder: Path) -> Path:
    """Write the build's accuracy and latency to `folder`, one file for each model, target and device.

    Raises MeaninglessError if FP32 does no better than guessing.
    """
    report = build.report.load()
    refuse_guesses(report)
    baseline = baseline_of(report)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / baseline.file_name
    baseline.save(path)
    return path


def compare_with_baseline(
    build: Build,
    folder: Path,
    limits: Limits,
    old_bundle: Path | None,
    trusted: Sequence[PublicKey] = (),
) -> Comparison:
    """Compare the build with its baseline in `folder`.

    With `old_bundle`, its engine and the build's are timed in alternation in one process, and the speed is
    judged; the bundle is verified first, with the `trusted` keys. Without it, a difference from the stored
    latency is only a warning. Raises NothingToCompareError if there is no baseline, and ReportError if it is
    of another model, target or data set. What cannot be compared is refused before anything is built.
    """
    _refuse_other_places(folder, old_bundle, trusted)
    report = build.report.load()
    path = folder / baseline_of(report).file_name
    if not path.exists():
        raise NothingToCompareError(
            f"There is no baseline {path}. Save one with `edgec baseline save --folder {folder}` and the"
            " same settings."
        )
    speed = None if old_bundle is None else _race(build, old_bundle, trusted)
    return compare(Baseline.load(path), report, limits, speed)


def _refuse_other_places(folder: Path, old_bundle: Path | None, trusted: Sequence[PublicKey]) -> None:
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file. Give the folder of the baselines with --folder.")
    if not any(folder.glob("*.json")):
        raise NothingToCompareError(
            f"There is no baseline in {folder}. Save one with `edgec baseline save --folder {folder}` and the"
            " same settings."
        )
    if old_bundle is not None:
        with opened(old_bundle, trusted):
            pass


def refuse_guesses(report: Report) -> None:
    """Raise MeaninglessError if FP32 does no better than guessing: no later build could be worse."""
    for gate in report.gates:
        if gate.name == plausibility.NAME and gate.verdict is Verdict.MEANINGLESS:
            raise MeaninglessError(
                f"No baseline is saved of {report.subject.model}: {gate.message}. `edgec report show`"
                " says what was looked for and found."
            )


def _race(build: Build, old_bundle: Path, trusted: Sequence[PublicKey]) -> SpeedRatio:
    with opened(old_bundle, trusted) as held:
        manifest, engine = held.manifest, held.read(held.manifest.engine)
    if (manifest.model, manifest.target) != (build.model.name, build.target.name):
        raise ReportError(
            f"{old_bundle} holds {manifest.model} for {manifest.target}; the build is {build.model.name} for "
            f"{build.target.name}. Give a bundle of the same model and target."
        )
    with tempfile.TemporaryDirectory(prefix="edgec-race-") as scratch:
        old = Path(scratch) / build.target.engine_name
        old.write_bytes(engine)
        engines = [(build.target.runner, old), (build.target.runner, build.engine.path)]
        images = first_images(build.seen(build.evaluation), build.latency_settings.batch)
        threads = build.config.latency.threads
        with build.progress.task("time the old and the new engine", None):
            before, after = measure_in_child(engines, images, build.latency_settings, threads)
    return speed_ratio(before, after)
