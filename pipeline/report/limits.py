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
    """Points of top-1."""
    min_ratio: float | None = None
    """Share of FP32's top-1."""
    min_top1: float | None = None
    """Percent of images that INT8 is right on."""
    latency: LatencyLimits = NO_LIMITS
    min_speedup: float = 0.0
    """FP32's time over INT8's. 0 sets no gate."""
    sustained_p90_ms: float | None = None
    """Milliseconds that INT8 has to stay below after minutes on the device."""

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
        """Yield those of them that are about accuracy."""
        return accuracy_gates(accuracy, self.max_drop, self.min_ratio, origin, self.min_top1)
