"""Builds the engines of all candidates on this device; what is done stays done after an interruption."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, Sequence

from .build import created, make_logger
from .candidate import INT8_ONNX, base_of_mixed, candidates, dla_candidate, fp8_candidate, mixed_candidate
from .device_engines import build_options, builds_with, engine_key, make_engine, tensorrt
from .dla import cores_of, on_gpu, write_for_dla
from .engine import FP16, EngineKey, EnginePlace, EngineProblem, write
from .layer_costs import LayerCost, compare_layers
from .mixed_onnx import QdqFile
from .runner import open_plan

if TYPE_CHECKING:
    from pathlib import Path

    from .candidate import Candidate
    from .cuda import Cuda
    from .jetson import DeviceFacts

COSTS = "layer_costs.json"
NAMED = 5
Say = Callable[[str], None]


@dataclass(frozen=True)
class TriedEngine:
    """A candidate, and its engine's key or why there is no engine."""

    name: str
    what: str
    key: EngineKey | None = None
    problem: str = ""


def keys_of(trials: Sequence[TriedEngine]) -> dict[str, dict[str, str]]:
    """Return the keys of those that were built, by name."""
    return {trial.name: asdict(trial.key) for trial in trials if trial.key}


def plans_of(engines: Path, trials: Sequence[TriedEngine]) -> dict[str, Path]:
    """Return the engines of those that were built, by name."""
    return {trial.name: EnginePlace(engines, trial.name).plan for trial in trials if trial.key}


@dataclass(frozen=True)
class Competition:
    """The candidates of the folder `engines` on this device. INT8 and FP16 were built there before."""

    engines: Path
    facts: DeviceFacts
    say: Say

    def required(self) -> list[TriedEngine]:
        """Return INT8 and FP16."""
        found = [one for one in candidates(builds_with(self.facts)) if one.is_required]
        return [TriedEngine(one.name, str(one), self._key(one)) for one in found]

    def build(self) -> list[TriedEngine]:
        """Build every candidate but the mixed one, and return them in their order."""
        trials = self.required()
        for candidate in candidates(builds_with(self.facts)):
            if not candidate.is_required:
                trials.append(self._tried(candidate, trials))
        fp8 = fp8_candidate(builds_with(self.facts))
        if fp8 and (self.engines / fp8.onnx).is_file():  # in bundles for modules that have it
            trials.append(self._tried(fp8, trials))
        dla = self._for_dla()
        if dla is not None:
            trials.append(self._tried_on_dla(dla, trials))
        return trials

    def _for_dla(self) -> Candidate | None:
        """Return the candidate for a DLA, its file written, where there is one and TensorRT can use it."""
        candidate, trt = dla_candidate(builds_with(self.facts)), tensorrt()
        if candidate is None or not cores_of(created(trt.Builder, make_logger(trt))):
            return None
        try:
            write_for_dla(self.engines / INT8_ONNX, self.engines / candidate.onnx)
        except EngineProblem as error:
            self.say(f"{candidate.name}: not made: {error}")
            with suppress(FileNotFoundError):  # one of an earlier network
                (self.engines / candidate.onnx).unlink()
        return candidate

    def _tried_on_dla(self, candidate: Candidate, trials: Sequence[TriedEngine]) -> TriedEngine:
        """Build it, and say which layers the GPU computes."""
        tried = self._tried(candidate, trials)
        if tried.problem:
            return tried
        names = on_gpu(self.engines / candidate.onnx)
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        where = f"on the GPU: {', '.join(names[:NAMED]) or 'none'}{more}"
        return replace(tried, what=f"{tried.what}; {where}")

    def mix(
        self, trials: Sequence[TriedEngine], trt: Any, cuda: Cuda, batch: int
    ) -> tuple[TriedEngine, list[LayerCost]]:
        """Build the candidate whose INT8 layers that were slower than FP16's are float.

        Returns it, and the costs of all layers that could be compared.
        """
        candidate, base = mixed_candidate(builds_with(self.facts)), base_of_mixed(builds_with(self.facts))
        what = f"{candidate}, from {base.onnx}"
        costs: list[LayerCost] = []
        try:
            network = QdqFile((self.engines / base.onnx).read_bytes())
            convolutions = network.quantised_convolutions()
            costs = self._costs(trials, base, convolutions, trt, cuda, batch)
            slower = [cost.name for cost in costs if cost.is_slower]
            _check_worth_mixing(slower, costs, convolutions)
        except (EngineProblem, ValueError) as error:  # ValueError: an inspector that describes nothing
            self.say(f"{candidate.name}: not made: {error}")
            return TriedEngine(candidate.name, what, problem=str(error)), costs
        more = f" and {len(slower) - NAMED} more" if len(slower) > NAMED else ""
        named = ", ".join(slower[:NAMED]) + more
        self.say(f"slower in INT8 are {len(slower)} of {len(convolutions)} convolutions: {named}")
        write(self.engines / candidate.onnx, network.in_float(slower))
        return self._tried(candidate, trials), costs

    def _tried(self, candidate: Candidate, before: Sequence[TriedEngine]) -> TriedEngine:
        """Build a candidate's engine. What cannot be built is not tried again."""
        place, what = EnginePlace(self.engines, candidate.name), str(candidate)
        if not (self.engines / candidate.onnx).is_file():
            return TriedEngine(candidate.name, what, problem=f"there is no {candidate.onnx}")
        key = self._key(candidate)
        same = [trial.name for trial in before if trial.key == key]
        problem = f"it is the same as {same[0]}" if same else place.refusal(key)
        if not problem:
            try:
                options = build_options(self.engines)
                make_engine(self.engines, candidate, self.facts, options, self.say)
                return TriedEngine(candidate.name, what, key)
            except EngineProblem as error:
                problem = str(error)
                place.refuse(key, problem)
        self.say(f"{candidate.name}: not built: {problem}")
        return TriedEngine(candidate.name, what, problem=problem)

    def _key(self, candidate: Candidate) -> EngineKey:
        return engine_key(self.engines, candidate, self.facts, build_options(self.engines))

    def _costs(
        self,
        trials: Sequence[TriedEngine],
        base: Candidate,
        convolutions: Sequence[str],
        trt: Any,
        cuda: Cuda,
        batch: int,
    ) -> list[LayerCost]:
        """Return the costs of layers, those of an earlier run if it had the same engines and power mode."""
        keys, names = keys_of(trials), (base.name, FP16)
        if base.name not in keys:
            raise EngineProblem(f"there is no engine of {base.name} to take layers from")
        around = {"engines": [keys[n] for n in names], "mode": self.facts.power_mode, "batch": batch}
        file = self.engines / COSTS
        known = _known_costs(file, around)
        if known is not None:
            return known
        self.say(f"comparing the layers of {base.name} and {FP16}")
        with ExitStack() as opened:
            plans = [EnginePlace(self.engines, name).plan for name in names]
            int8, fp16 = (opened.enter_context(open_plan(plan, trt, cuda)) for plan in plans)
            costs = compare_layers(trt, int8, fp16, convolutions, batch)
        record = {"around": around, "costs": [asdict(cost) for cost in costs]}
        write(file, json.dumps(record).encode())
        return costs


def _known_costs(file: Path, around: dict[str, Any]) -> list[LayerCost] | None:
    try:
        record = json.loads(file.read_text())
        return [LayerCost(**fields) for fields in record["costs"]] if record["around"] == around else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_worth_mixing(
    slower: Sequence[str], costs: Sequence[LayerCost], convolutions: Sequence[str]
) -> None:
    if not costs:
        raise EngineProblem(
            f"TensorRT's layers do not tell {len(convolutions)} convolutions apart, so none can be compared"
        )
    if not slower:
        raise EngineProblem(f"none of the {len(costs)} convolutions compared is shown to be slower in INT8")
    if len(slower) == len(convolutions):
        raise EngineProblem("every convolution is slower in INT8, and without them it is FP16")
