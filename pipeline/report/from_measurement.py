"""From raw runs to a latency record: quantiles, throughput, and the reasons to distrust them."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from pipeline.report.model.certainty import Interval
from pipeline.report.model.measured_latency import Latency, MachineConditions, Quantile
from pipeline.report.model.measured_sizes import Memory
from targets.base import Origin
from targets.runtime import machine
from targets.runtime.measure import Measurement
from targets.runtime.quantile import LEVEL, quantile

WIDE = 0.02  # half-width of the median's interval, relative to the median
DRIFT = 0.03  # change of the median from the first third of the runs to the last
SPREAD = 0.10  # (p90 - p50) / p50
FEW = 50  # effective runs; with fewer, intervals were seen to cover less than they claim


def latency_of(measurement: Measurement, origin: Origin, threads: int | None) -> Latency:
    """Summarise a measurement made at `origin` with `threads` threads (None: as the runner decides)."""
    runs = np.array(measurement.runs_ns, np.int64)
    median = quantile(runs, 0.5)
    lower, upper = np.quantile(runs, [0.25, 0.75])
    return Latency(
        origin=origin,
        measured_at=datetime.fromtimestamp(int(measurement.started_unix), UTC),
        batch=measurement.batch,
        threads=threads,
        warmup_runs=measurement.warmup_runs,
        warmup_stable=measurement.warmup_stable,
        stopped=measurement.stopped,
        p50=quantile_ms(runs, 0.5),
        p90=quantile_ms(runs, 0.9),
        p99=quantile_ms(runs, 0.99),
        throughput_per_s=float(measurement.batch / (runs.mean() / 1e9)),
        coefficient_of_variation=float(runs.std(ddof=1) / runs.mean()) if len(runs) > 1 else 0.0,
        effective_runs=median.effective_size,
        outliers=int((runs > upper + 3 * (upper - lower)).sum()),
        noisy=noise(measurement),
        before=_state(measurement.before),
        after=_state(measurement.after),
        runs_ns=measurement.runs_ns,
    )


def memory_of(measured: machine.PeakMemory, origin: Origin) -> Memory:
    """Return the record of peak memory measured at `origin`."""
    return Memory(
        origin=origin,
        peak_bytes=measured.peak_bytes,
        before_open_bytes=measured.before_open_bytes,
        method=measured.method,
    )


def quantile_ms(runs_ns: NDArray[np.int64], probability: float) -> Quantile:
    """Return a quantile of runs in nanoseconds as a record in milliseconds."""
    found = quantile(runs_ns, probability)
    high = None if found.high is None else found.high / 1e6
    return Quantile(ms=found.value / 1e6, interval=Interval(low=found.low / 1e6, high=high, level=LEVEL))


def noise(measurement: Measurement) -> tuple[str, ...]:
    """Return the reasons not to trust a measurement; none for a quiet machine."""
    found = [] if measurement.warmup_stable else ["latency had not settled when warm-up ended"]
    found += _noise_of_runs(np.array(measurement.runs_ns, np.int64))
    return (*found, *noise_of_machine(measurement))


def noise_of_machine(measurement: Measurement) -> tuple[str, ...]:
    """Return the reasons in the state of the machine, which do not depend on what ran."""
    before, after = measurement.before, measurement.after
    found = []
    if before.load_average is not None and before.load_average > 0.5 * before.cores:
        found.append(
            f"load average was {before.load_average:.1f} on {before.cores} cores before the first run"
        )
    if before.throttle_events is not None and (after.throttle_events or 0) > before.throttle_events:
        found.append(f"the CPU throttled {(after.throttle_events or 0) - before.throttle_events} times")
    if "powersave" in before.governors:
        found.append("the CPU frequency governor is powersave")
    return tuple(found)


def _noise_of_runs(runs: NDArray[np.int64]) -> list[str]:
    found = []
    median = quantile(runs, 0.5)
    if median.high is None or (median.high - median.low) / 2 > WIDE * median.value:
        found.append(f"the median is not known to within {100 * WIDE:g} %")
    if median.effective_size < FEW:
        found.append(f"{len(runs):,} runs are worth only {median.effective_size:,.0f} independent ones")
    if len(runs) >= 30:
        first, last = np.median(runs[: len(runs) // 3]), np.median(runs[-(len(runs) // 3) :])
        if abs(last / first - 1) > DRIFT:
            found.append(
                f"the median drifted by {100 * (last / first - 1):+.1f} % from the first third to the last"
            )
    p90 = float(np.quantile(runs, 0.9))
    if p90 / median.value - 1 > SPREAD:
        found.append(f"p90 is {100 * (p90 / median.value - 1):.0f} % above the median")
    return found


def _state(state: machine.MachineState) -> MachineConditions:
    return MachineConditions(**state._asdict())
