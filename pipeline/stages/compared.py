"""Describes what was timed in alternation with INT8: the graph, the engine and the input."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from pipeline.report import figures
from pipeline.report.from_measurement import quantile_ms
from pipeline.report.model.measured_latency import SpeedRatio
from pipeline.report.sections.compared_runs import ComparedRun
from pipeline.report.speed import speed_ratio
from pipeline.stages.measure_latency import INT8, OWN, PEER, PIXELS, PREPARATION, Measurements
from pipeline.stages.peer import Peer
from targets.base import Origin
from targets.peers.static_int8 import SETTINGS
from targets.processor import cpu_flags
from targets.runtime.measure import Measurement

VNNI = ("avx512_vnni", "avx_vnni", "amx_int8")
AS_IT_CAME = "INT8, the network as it came"
SAME = 0.002
"""Shares of images that differ by less count as equal."""


@dataclass(frozen=True)
class Compared:
    """The measurements that the engine's are compared with."""

    measured: Measurements
    peer: Peer | None
    origin: Origin
    threads: int

    @property
    def baseline(self) -> list[Measurement]:
        """The FP32 baseline: the faster of the user's own network and model.onnx. Empty if not measured.

        The second measurement, of memory, is always that of model.onnx.
        """
        pixels, own = self.measured.runs(PIXELS), self.measured.runs(OWN)
        return [own[0], *pixels[1:]] if self._own_is_faster() else pixels

    @property
    def came_quantised(self) -> bool:
        """Whether the network came in 8 bits: there is no FP32 to time."""
        return bool(self.measured.runs(OWN)) and not self.measured.runs(PIXELS)

    def speed(self, runs: list[Measurement]) -> SpeedRatio | None:
        """Return INT8's time over that of `runs`; None unless both were measured here, in alternation."""
        int8 = self.measured.runs(INT8)
        if not runs or not int8 or self.origin is not Origin.HOST:
            return None
        return speed_ratio(runs[0], int8[0])

    def rows(self) -> tuple[ComparedRun, ...]:
        """Return all that was timed beside INT8."""
        return tuple(self._rows())

    def no_peer(self) -> str | None:
        """Return why onnxruntime's own INT8 was not timed; None if it was."""
        if self.came_quantised:
            return "the network came quantised: onnxruntime runs it as it came"
        if self.measured.runs(PEER):
            return None
        if self.peer is None:
            return "left out (latency.peer), or the target is not this machine"
        return self.peer.facts.refused

    def _own_is_faster(self) -> bool:
        pixels, own = self.measured.runs(PIXELS), self.measured.runs(OWN)
        if not own or not pixels:
            return False
        return float(np.median(own[0].runs_ns)) <= float(np.median(pixels[0].runs_ns))

    def _rows(self) -> Iterator[ComparedRun]:
        pixels, own, peer = (self.measured.runs(name) for name in (PIXELS, OWN, PEER))
        if self.came_quantised:
            yield self._row(
                AS_IT_CAME,
                own,
                graph=self.measured.own_graph(),
                engine=self._onnxruntime(),
                input=f"its own input, made before timing: {self._preparation()}",
            )
            return
        own_is_faster = self._own_is_faster()
        yield self._row(
            "FP32, the user's own network",
            own,
            graph=self.measured.own_graph(),
            engine=self._onnxruntime(),
            input=f"its own input, made before timing: {self._preparation()}",
            baseline=own_is_faster,
        )
        yield self._row(
            "FP32, from pixels on",
            pixels,
            graph="model.onnx: the same network with the normalisation in front",
            engine=self._onnxruntime(),
            input="uint8 pixels, as the INT8 engine gets them",
            baseline=not own_is_faster,
        )
        if peer and self.peer is not None:
            facts = self.peer.facts
            row = self._row(
                "INT8, onnxruntime's own",
                peer,
                graph=f"the network behind its normalisation, by {SETTINGS} over"
                f" {figures.plural(facts.calibration_images, 'calibration image')}",
                engine=self._onnxruntime(),
                input="float32, normalised before timing",
                note=self._saturation(),
            )
            yield row.replace(agreement=facts.agreement, agreement_images=facts.images)

    def _row(self, name: str, runs: list[Measurement], **words: object) -> ComparedRun:
        p50 = quantile_ms(np.array(runs[0].runs_ns, np.int64), 0.5)
        return ComparedRun(name=name, p50=p50, speed=self.speed(runs), **words)  # type: ignore[arg-type]

    def _onnxruntime(self) -> str:
        threads = figures.plural(self.threads, "thread")
        return f"onnxruntime {version('onnxruntime')}, CPUExecutionProvider, its default settings, {threads}"

    def _preparation(self) -> str:
        (runs,) = self.measured.runs(PREPARATION)
        microseconds = float(np.median(runs.runs_ns)) / 1e3
        return f"{figures.significant(microseconds)} µs by NumPy and OpenCV, on one thread"

    def _saturation(self) -> str:
        """Describe whether the peer's 16-bit sums saturate on this processor, and the effect."""
        assert self.peer is not None  # noqa: S101 - asked for only where there is one
        facts = self.peer.facts
        if facts.agreement_exactly is None:
            return "on this processor no settings of onnxruntime are exact"
        exactly = f"in exact settings it agrees in {figures.percent(facts.agreement_exactly)}"
        if abs(facts.agreement - facts.agreement_exactly) > SAME:
            return f"its sums of 16 bits saturate on this processor; {exactly}"
        if "sse2" in cpu_flags() and not cpu_flags() & set(VNNI):
            return f"this processor has no VNNI: its sums of 16 bits may saturate; {exactly}"
        return "on x86 without VNNI its sums of 16 bits may saturate; here they do not"
