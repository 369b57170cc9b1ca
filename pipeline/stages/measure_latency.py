"""Engine -> int8.json, and other runs to compare with: latency in alternation, peak memory of each alone."""

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.stage import Stage
from pipeline.progress import Progress
from pipeline.report.model.candidate_figures import CandidateFigures, EngineCandidate, LostPoints
from pipeline.report.model.certainty import Interval
from pipeline.report.model.float_layers import TimedLayer
from pipeline.report.model.measured_latency import Quantile
from pipeline.report.model.toolchain_check import ToolchainCheck
from pipeline.stages.artifacts import FloatModel, StageOutput
from pipeline.stages.compile import CompiledEngine
from pipeline.stages.image_set import ModelImages
from pipeline.stages.own_graph import OwnGraph
from pipeline.stages.peer import Peer
from pipeline.stages.sample import Samples
from targets.base import HasCandidates, HasFp16, OnDevice, RacesFloat, TimesLayers
from targets.measure_apart import measure_in_child
from targets.reference import ReferenceTarget
from targets.runtime.measure import Measurement, Settings, from_json, to_json

IMAGES = 64
"""How many different images the measured runs use in turn."""
FINDINGS, INSTRUCTIONS, LAYERS = "findings.json", "instructions.json", "layers.json"
CANDIDATES = "candidates.json"
OWN_GRAPH = "own_graph.json"
RACE = "race_there"
"""FP32 and INT8 in alternation on a device, in this order."""
PIXELS, OWN, INT8, PEER, PREPARATION = "fp32", "own", "int8", "peer", "preparation"
"""The names of what is measured: model.onnx from pixels on, the network as its user runs it, the engine,
onnxruntime's own INT8, and the preparation of the input for the user's network."""
RUNNER = "targets.peers.prepared_input"
PREPARATION_RUNS = Settings(min_runs=200, max_runs=200, max_seconds=2.0, max_warmup_seconds=0.5)
MOST_ALTERNATING = 3
"""Up to this many engines get the configured time each. More of them share the time of this many."""
MEMORY_RUNS = Settings(min_runs=5, max_runs=5, max_warmup_seconds=0.2)


@dataclass(frozen=True)
class Measure(Stage):
    """Measure in new processes, with the code that ships, on the target's machine."""

    name: ClassVar[str] = "measure"
    is_measurement: ClassVar[bool] = True
    has_float_bits: ClassVar[bool] = False
    tools: ClassVar[tuple[str, ...]] = ("onnxruntime", "numpy")

    float_model: FloatModel
    own: OwnGraph
    engine: CompiledEngine
    peer: Peer | None
    images: ModelImages
    settings: Settings
    threads: int
    samples: Samples | None = None
    """Labelled images by which one of several engines of a device is chosen."""
    max_drop: float = 1.0
    """The largest drop of top-1 of the engine that is chosen, in percentage points."""

    @property
    def times_this_machine(self) -> bool:
        """Whether the target is this machine."""
        return self.engine.target.runs_here

    def run(self, output: Path, progress: Progress) -> None:
        """Write int8.json, if the target is this machine or a device, and what it is compared with.

        That is only done if the target is this machine: FP32 in fp32.json and own.json, and onnxruntime's own
        INT8 in peer.json. Another processor's time for FP32 says nothing about the target. If an emulator
        runs the engine, instructions.json has the number of instructions of one inference. If layers can be
        timed one by one, layers.json has their times. If FP16 competes, fp16.json has its latency.
        candidates.json has all forms of the network that competed on a device.
        If a device runs FP32 too, race_there.json has both.

        Everything on this machine is timed in alternation, so that a drift affects all alike.
        """
        target = self.engine.target_reporting_to(progress)
        images = first_images(self.images, self.settings.batch)
        counted = target.instructions(self.engine.path, images)
        if counted is not None:
            (output / INSTRUCTIONS).write_text(json.dumps(counted))
        if isinstance(target, TimesLayers):
            times = [asdict(layer) for layer in target.layer_times(self.engine.path, images[0])]
            (output / LAYERS).write_text(json.dumps(times))
        if isinstance(target, OnDevice):
            self._on_device(target, images, output, progress)
        if target.runs_here:
            with tempfile.TemporaryDirectory(prefix="edgec-measure-") as scratch:
                self._on_this_machine(Path(scratch), images, output, progress)

    def _on_device(
        self, target: OnDevice, images: NDArray[np.uint8], output: Path, progress: Progress
    ) -> None:
        if isinstance(target, HasCandidates) and self.samples is not None:
            target.choose_by(self.samples.path, self.max_drop)
        with progress.task(f"measure on {self.engine.device}", None):
            measured = target.measure(self.engine.path, images, self.settings, self.threads)
        # it ran alone in its process, so the same measurement has the memory
        (output / "int8.json").write_text(to_json([measured, measured]))
        fp16 = target.fp16_latency() if isinstance(target, HasFp16) else None
        if fp16:
            (output / "fp16.json").write_text(to_json([fp16]))
        if isinstance(target, HasCandidates):
            (output / CANDIDATES).write_text(json.dumps([asdict(one) for one in target.candidates()]))
        if isinstance(target, RacesFloat):
            with progress.task(f"time FP32 and INT8 alternately on {self.engine.device}", None):
                raced = target.race(
                    self.engine.path, self.float_model.path, images, self.settings, self.threads
                )
            if raced is not None:
                (output / f"{RACE}.json").write_text(to_json(raced))
        (output / FINDINGS).write_text(json.dumps([asdict(one) for one in target.findings()]))

    def _on_this_machine(
        self, scratch: Path, images: NDArray[np.uint8], output: Path, progress: Progress
    ) -> None:
        """Measure everything that runs on this machine."""
        own, description = self.own.as_given(scratch)
        (output / OWN_GRAPH).write_text(json.dumps(description))
        prepared = str(own.save(scratch / "own.json"))
        engines = {OWN: (RUNNER, Path(prepared)), INT8: (self.engine.target.runner, self.engine.path)}
        if not self.own.is_quantised:
            engines = {PIXELS: (ReferenceTarget.runner, self.float_model.path), **engines}
        network = self.peer.network if self.peer is not None else None
        if network is not None:
            engines[PEER] = (RUNNER, network.save(scratch / "peer.json"))
        alone = [name for name in (PIXELS, INT8) if name in engines]
        with progress.task("measure", 2 + len(alone)) as advance:
            share = MOST_ALTERNATING * self.settings.max_seconds / max(MOST_ALTERNATING, len(engines))
            settings = replace(self.settings, max_seconds=share)
            latency = measure_in_child(list(engines.values()), images, settings, self.threads)
            advance(1)
            found = {name: [runs] for name, runs in zip(engines, latency, strict=True)}
            memory_runs = replace(MEMORY_RUNS, batch=self.settings.batch)
            for name in alone:
                found[name] += measure_in_child([engines[name]], images, memory_runs, self.threads)
                advance(1)
            preparation = [("targets.peers.preparation", Path(prepared))]
            runs = replace(PREPARATION_RUNS, batch=self.settings.batch)
            found[PREPARATION] = measure_in_child(preparation, images, runs)
            advance(1)
        for name, runs_found in found.items():
            (output / f"{name}.json").write_text(to_json(runs_found))


def first_images(images: ModelImages, batch_size: int) -> NDArray[np.uint8]:
    """Return enough preprocessed images for a batch, repeated if there are too few: uint8 [N, H, W, C]."""
    batch = next(images.readable(IMAGES))
    wanted = max(len(batch.images), batch_size)
    return batch.images[np.arange(wanted) % len(batch.images)]


@dataclass(frozen=True)
class Measurements:
    """The files that `Measure` wrote; none if it did not run."""

    written: StageOutput | None

    def runs(self, precision: str) -> list[Measurement]:
        """Return the measurement of latency, and the one of memory; neither if none was made."""
        name = f"{precision}.json"
        return from_json(self._text(name)) if self._has(name) else []

    def own_graph(self) -> str:
        """Return a description of the user's own network."""
        return str(json.loads(self._text(OWN_GRAPH)))

    def layers(self) -> tuple[TimedLayer, ...]:
        """Return the time of each layer; none where they cannot be timed one by one."""
        return tuple(TimedLayer(**fields) for fields in self._list(LAYERS))

    def instructions(self) -> int | None:
        """Return how many instructions an inference executes, where an emulator counted them."""
        return json.loads(self._text(INSTRUCTIONS)) if self._has(INSTRUCTIONS) else None

    def findings(self) -> tuple[ToolchainCheck, ...]:
        """Return a device's findings besides latency."""
        return tuple(ToolchainCheck(**fields) for fields in self._list(FINDINGS))

    def candidates(self) -> tuple[EngineCandidate, ...]:
        """Return the forms of the network that competed on a device."""
        return tuple(_candidate(fields) for fields in self._list(CANDIDATES))

    def _has(self, name: str) -> bool:
        return self.written is not None and name in self.written.names

    def _list(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._text(name)) if self._has(name) else []
        return found

    def _text(self, name: str) -> str:
        assert self.written is not None  # noqa: S101 - callers check `_has`
        return self.written.file(name).read_text()


def _candidate(fields: dict[str, Any]) -> EngineCandidate:
    times = fields["times"]
    figures = times and CandidateFigures(
        **{
            **times,
            **{name: _median(times[name]) for name in ("end_to_end", "compute")},
            "drop": times["drop"] and _lost(times["drop"]),
        }
    )
    return EngineCandidate(
        name=fields["name"],
        what=fields["what"],
        problem=fields["problem"],
        figures=figures,
        chosen=fields["chosen"],
    )


def _median(found: list[float]) -> Quantile:
    value, low, high = found
    return Quantile(ms=value, interval=Interval(low=low, high=high))


def _lost(found: list[float]) -> LostPoints:
    value, low, high = found
    return LostPoints(value=value, interval=Interval(low=low, high=high))


NO_MEASUREMENTS = Measurements(None)
