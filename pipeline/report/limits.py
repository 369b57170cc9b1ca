"""The limits that a build is judged by."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from pipeline.report.gates import accuracy_gates
from pipeline.report.latency_gates import NO_LIMITS, LatencyLimits
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.measured_latency import MeasuredLatency
from pipeline.report.model.picture_latency import EndToEnd
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.next_steps import with_next_step
from pipeline.report.race import Race, race_gates
from targets.base import Origin


@dataclass(frozen=True)
class GateLimits:
    """The limits for INT8. None sets no gate."""

    max_drop: float
    """The largest drop of top-1, in percentage points."""
    min_ratio: float | None = None
    """The smallest share of FP32's top-1 that INT8 keeps."""
    min_top1: float | None = None
    """INT8's smallest top-1, in percent."""
    latency: LatencyLimits = NO_LIMITS
    min_speedup: float = 0.0
    """The smallest ratio of FP32's time to INT8's. 0 sets no gate."""
    sustained_p90_ms: float | None = None
    """The largest p90 of INT8 after minutes on the device, in milliseconds."""

    def judge(
        self,
        accuracy: Accuracy | PixelAccuracy,
        latency: MeasuredLatency,
        whole: EndToEnd | None,
        origin: Origin,
        race: Race | NotMeasured,
    ) -> Iterator[Gate]:
        """Yield the gates that are set, with their verdicts and what to do next."""
        of_time = chain(self.latency.gates(latency, whole), race_gates(race, self.min_speedup))
        for gate in chain(self.judge_accuracy(accuracy, origin), of_time):
            yield with_next_step(gate, accuracy, whole)

    def judge_accuracy(self, accuracy: Accuracy | PixelAccuracy, origin: Origin) -> Iterator[Gate]:
        """Yield the gates on accuracy."""
        return accuracy_gates(accuracy, self.max_drop, self.min_ratio, origin, self.min_top1)
