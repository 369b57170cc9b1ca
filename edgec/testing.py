"""A pytest plugin, there wherever edgec is installed: tests of accuracy and latency in your own repository.

    from edgec.testing import assert_accuracy, assert_latency

    def test_release(edgec_build):
        report = edgec_build(model="resnet20-fashion", target="reference")
        assert_accuracy(report, max_drop=1.0)
        assert_latency(report, p90_ms=5.0)

An assertion fails when its gate fails or is inconclusive; the message says what would decide it.

A repository may have folders called `pipeline`, `targets` or `calibration` of its own. Its tests run; those
that use edgec are told which folder is in the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from edgec.origin import refuse_packages_from_elsewhere

if TYPE_CHECKING:  # loaded by every pytest run: what it needs is imported when it is used
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.report.model.build_report import Report
    from pipeline.report.model.gate import Gate


@pytest.fixture(scope="session")
def edgec_build() -> Callable[..., Report]:
    """Build, measure and report: `edgec_build(config=None, **options)` with the keys of the TOML file.

    Stages whose inputs did not change come out of the cache, as with `edgec build`.
    """

    refuse_packages_from_elsewhere()

    def build(config: Path | None = None, **options: object) -> Report:
        from pipeline.build.plan import Build
        from pipeline.config import BuildConfig, load_config
        from pipeline.extras import naming_missing_extras
        from pipeline.progress import Silent

        with naming_missing_extras():
            return Build(load_config(BuildConfig, config, options), Silent()).report.load()

    return build


def assert_accuracy(
    report: Report,
    max_drop: float | None = None,
    min_ratio: float | None = None,
    min_top1: float | None = None,
) -> None:
    """Assert that top-1 falls by less than `max_drop` points, or that INT8 keeps `min_ratio` of FP32's.

    `min_top1` is a floor of INT8's top-1 in percent. FP32 has to do better than guessing in any case.

    Of a network that classifies pixels, `max_drop` is of right pixels and of the mean IoU. An inconclusive
    gate fails too, and says how many images would decide. Raises ValueError if no limit is given.
    """
    __tracebackhide__ = True
    refuse_packages_from_elsewhere()
    from pipeline.report.gates import accuracy_gates

    if max_drop is None and min_ratio is None and min_top1 is None:
        raise ValueError("assert_accuracy needs max_drop, min_ratio or min_top1")
    origin = report.accuracy.int8_origin
    for gate in accuracy_gates(report.accuracy, max_drop, min_ratio, origin, min_top1):
        _assert(gate, report)


def assert_latency(
    report: Report,
    p50_ms: float | None = None,
    p90_ms: float | None = None,
    p99_ms: float | None = None,
    judge: Literal["end_to_end", "model"] | None = None,
) -> None:
    """Assert that quantiles of INT8's latency are below these limits. Raises ValueError if none is given.

    They are of all that a picture takes, from its file to its top-5 classes, or of the model alone; if
    `judge` is None, of the model where only that was timed: on a board.
    """
    __tracebackhide__ = True
    refuse_packages_from_elsewhere()
    from pipeline.report.latency_gates import LatencyLimits

    if p50_ms is None and p90_ms is None and p99_ms is None:
        raise ValueError("assert_latency needs p50_ms, p90_ms or p99_ms")
    limits = LatencyLimits(p50_ms, p90_ms, p99_ms, judge)
    for gate in limits.gates(report.latency_int8, report.end_to_end):
        _assert(gate, report)


def _assert(gate: Gate, report: Report) -> None:
    from pipeline.report.model.certainty import Verdict
    from pipeline.report.next_steps import with_next_step

    __tracebackhide__ = True
    gate = with_next_step(gate, report.accuracy, report.end_to_end)
    if gate.verdict is not Verdict.PASS:
        raise AssertionError(f"{gate.verdict}: {gate.claim}: {gate.message}. {gate.next_step}".rstrip(". "))
