"""One build, validated and measured on several devices at the same time."""

import re
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from calibration.errors import CalibrationError
from pipeline.build.board_pool import on_boards_alike
from pipeline.build.plan import Build
from pipeline.build.publish import publish
from pipeline.config import BuildConfig
from pipeline.errors import PipelineError
from pipeline.progress import Progress, Silent
from pipeline.report.model.build_report import Report
from pipeline.report.model.certainty import Verdict
from targets.errors import TargetError


@dataclass(frozen=True)
class Outcome:
    """The result of a build on one device: its bundle and report, or the error."""

    device: str
    bundle: Path | None = None
    report: Path | None = None
    error: str | None = None


def devices_of(config: BuildConfig) -> list[str]:
    """Return the devices that a configuration names."""
    return [name.strip() for name in (config.device or "").split(",") if name.strip()]


def build_on_all(config: BuildConfig, devices: Sequence[str], progress: Progress) -> list[Outcome]:
    """Build the engine once, then validate and measure it on all devices at once, each in its own process.

    Results go to <model>-<target>@<device>. A device that fails does not stop the others.
    """
    Build(config.model_copy(update={"device": None}), progress).engine  # noqa: B018 - made for all of them
    with ProcessPoolExecutor(len(devices), mp_context=get_context("spawn")) as pool:
        waiting: dict[str, Future[Outcome]] = {name: pool.submit(_build_on, config, name) for name in devices}
        for name, future in waiting.items():
            with progress.task(f"{name}: validate and measure", None):
                future.result()
    return [future.result() for future in waiting.values()]


def _build_on(config: BuildConfig, device: str) -> Outcome:
    try:
        place = re.sub(r"[^\w.-]+", "-", device.removeprefix("ssh://"))

        def published(config: BuildConfig) -> Path:
            build = Build(config, Silent())
            return publish(build, f"{build.name}@{place}")

        bundle = on_boards_alike(config.model_copy(update={"device": device}), published, Silent())
    except (PipelineError, TargetError, CalibrationError) as error:
        return Outcome(device, error=str(error))
    return Outcome(device, bundle, bundle.with_suffix("") / "report.json")


def exit_code(outcome: Outcome) -> int:
    """Return 1 for a device without a result or with a gate that fails, 5 where FP32 only guesses, else 0."""
    verdict = Verdict.FAIL if outcome.report is None else Report.load(outcome.report).verdict
    return verdict.exit_code if verdict in (Verdict.FAIL, Verdict.MEANINGLESS) else 0
