"""Is one engine slower than another? Runs interleaved in one process, and a ratio with an interval."""

import numpy as np

from pipeline.errors import ReportError
from pipeline.report.gates import verdict_below
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.measured_latency import SpeedRatio
from targets.runtime.measure import Measurement
from targets.runtime.quantile import LEVEL, quantile


def speed_ratio(before: Measurement, after: Measurement, level: float = LEVEL) -> SpeedRatio:
    """Compare two engines that were measured alternately, in rounds with a block of runs of each.

    The median over rounds of (median of the new engine's block) / (median of the old one's). Rounds are
    neighbours in time, so a drift of the machine cancels; the interval lies between order statistics of the
    rounds, widened for autocorrelation. Raises ReportError if the engines did not alternate.
    """
    old, new = (np.array(m.runs_ns, np.float64) for m in (before, after))
    block = before.block
    if not block or block != after.block or len(old) != len(new) or len(old) % block:
        raise ReportError("speed can only be compared of engines that were measured alternately")
    blocks = [np.median(runs.reshape(-1, block), axis=1) for runs in (old, new)]
    found = quantile(blocks[1] / blocks[0], 0.5, level)
    return SpeedRatio(
        ratio=found.value,
        interval=Interval(low=found.low, high=found.high, level=level),
        rounds=len(blocks[0]),
        effective_rounds=found.effective_size,
    )


def judge_speed(found: SpeedRatio, max_ratio: float) -> Verdict:
    """Judge 'the new engine takes less than `max_ratio` times as long'.

    Fails only when the whole interval lies above: one that is just within the limit fails with a probability
    of (1 - level) / 2. benchmarks/latency_false_alarms.py simulates how often it fails wrongly.
    """
    return verdict_below(found.interval, max_ratio)
