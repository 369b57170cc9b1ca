"""Judge how long a picture takes, from its file to the answer, or how long the model alone takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pipeline.report.gates import explain, verdict_below
from pipeline.report.model.certainty import NotMeasured, Verdict
from pipeline.report.model.gate import Gate
from pipeline.report.model.measured_latency import Latency, MeasuredLatency, Quantile
from pipeline.report.model.picture_latency import EndToEnd
from targets.base import Origin

Judged = Literal["end_to_end", "model"]
QUANTILES: tuple[Literal["p50", "p90", "p99"], ...] = ("p50", "p90", "p99")
ONLY_MODEL = (
    "; of the model alone, since decoding and resizing are timed on the build machine only: a picture takes"
    " longer"
)
MODEL_ALONE = 'judge = "model" under [latency] judges the model alone'


@dataclass(frozen=True)
class LatencyLimits:
    """Limits on INT8's latency in milliseconds. None sets no gate.

    judge: the latency that is limited. None: end to end where that was timed, else the model alone. The gate
    says which.
    """

    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    judge: Judged | None = None

    def gates(self, latency: MeasuredLatency, whole: EndToEnd | None) -> Iterator[Gate]:
        """Yield the gates that are set: of `whole`, or of the model's `latency`."""
        for quantile in QUANTILES:
            limit = {"p50": self.p50_ms, "p90": self.p90_ms, "p99": self.p99_ms}[quantile]
            if limit is None:
                continue
            if self.judge == "model":
                yield _of_model(latency, quantile, limit)
            elif self.judge is None and whole is None:
                gate = _of_model(latency, quantile, limit)
                yield gate if gate.value is None else gate.replace(message=gate.message + ONLY_MODEL)
            else:
                yield _end_to_end(latency, whole, quantile, limit)


NO_LIMITS = LatencyLimits()


@dataclass(frozen=True)
class _Figure:
    """What a limit is compared with."""

    quantile: Quantile
    runs: int
    noisy: tuple[str, ...]
    origin: Origin


def _of_model(latency: MeasuredLatency, quantile: Literal["p50", "p90", "p99"], limit: float) -> Gate:
    name, claim = f"{quantile}_ms", f"{quantile} latency of the model below {limit:g} ms"
    if isinstance(latency, NotMeasured):
        return unmeasured_gate(name, claim, limit, f"not measured: {latency.reason}")
    return _judged(name, claim, limit, _model(latency, quantile))


def _end_to_end(
    latency: MeasuredLatency, whole: EndToEnd | None, quantile: Literal["p50", "p90", "p99"], limit: float
) -> Gate:
    """A gate of the model's time alone can fail, but not pass: decoding and resizing only add to it."""
    name, claim = f"{quantile}_ms", f"{quantile} latency end to end below {limit:g} ms"
    if whole is not None:
        step = whole.whole
        figure = {"p50": step.p50, "p90": step.p90, "p99": step.p99}[quantile]
        return _judged(name, claim, limit, _Figure(figure, step.runs, whole.noisy, whole.origin))
    if isinstance(latency, NotMeasured):
        return unmeasured_gate(name, claim, limit, f"not measured: {latency.reason}")
    of_model = _model(latency, quantile)
    if verdict_below(of_model.quantile.interval, limit) is Verdict.FAIL:
        return _judged(name, claim, limit, of_model, "of the model alone ")
    reason = "not measured: decoding and resizing are timed on the build machine only"
    return unmeasured_gate(name, claim, limit, f"{reason}; {MODEL_ALONE}")


def _model(latency: Latency, quantile: Literal["p50", "p90", "p99"]) -> _Figure:
    figure = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99}[quantile]
    return _Figure(figure, len(latency.runs_ns), latency.noisy, latency.origin)


def _judged(name: str, claim: str, limit: float, figure: _Figure, of: str = "") -> Gate:
    interval = figure.quantile.interval
    verdict = verdict_below(interval, limit)
    message = of + explain(interval, "maximum", limit, "ms", verdict)
    if verdict is Verdict.INCONCLUSIVE:
        message += f"; {figure.runs} runs do not decide, more runs or a quieter machine may"
    if figure.noisy:
        message += f" (noisy: {figure.noisy[0]})"
    return Gate(
        name=name,
        claim=claim,
        limit=limit,
        value=figure.quantile.ms,
        interval=interval,
        unit="ms",
        origin=figure.origin,
        verdict=verdict,
        message=message,
    )


def unmeasured_gate(name: str, claim: str, limit: float, message: str) -> Gate:
    """Return the gate of a time in ms that is not known; `message` says why."""
    return Gate(
        name=name,
        claim=claim,
        limit=limit,
        value=None,
        interval=None,
        unit="ms",
        origin=None,
        verdict=Verdict.INCONCLUSIVE,
        message=message,
    )
