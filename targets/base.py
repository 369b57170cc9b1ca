"""The interface of targets. The conformance suite runs on all that are registered."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe
from targets.errors import EngineError
from targets.runtime.measure import Measurement, Settings
from targets.runtime.native_runner import LayerTime

if TYPE_CHECKING:  # it loads OpenCV
    from targets.runtime.preprocess import Preprocessing


class Origin(StrEnum):
    """Where a figure was measured. Every number in a report carries one."""

    HOST = "host"
    EMULATOR = "emulator"
    DEVICE = "device"


class BuildState(StrEnum):
    """Whether there is an engine yet. Without one there is no latency."""

    BUILT = "built"
    NOT_BUILT = "not built on device"
    ON_DEVICE = "built on the device"  # and kept there, since it runs nowhere else


class EngineKind(StrEnum):
    """What an engine's file is, and so what opens it beside the target's own runner."""

    GRAPH = "an ONNX graph"  # onnxruntime opens it on any machine
    PROCESSOR_CODE = "code for one instruction set, named in the fingerprint"  # libedgec opens it
    OF_ONE_DEVICE = "what only its device opens"


@dataclass(frozen=True)
class Check:
    """A check of the graph by a toolchain. A failed one is an EngineError instead."""

    name: str
    outcome: Literal["passed", "skipped"]
    message: str


CHECKS = "checks.json"
"""The file beside an engine with the list of checks made while building it, if there were any."""


def require_engine(engine: Path, target: str) -> None:
    """Raise EngineError if `engine` was not built."""
    if not engine.is_file():
        raise EngineError(f"There is no engine at {engine}. Build it first: edgec build --target {target}")


class EngineRunner(Protocol):
    """An opened engine."""

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for images [N, H, W, C] of raw pixels: RGB, or one gray channel."""
        ...


class Target(Protocol):
    """A toolchain together with the device it compiles for."""

    @property
    def name(self) -> str:
        """The name used in TARGET=."""
        ...

    @property
    def summary(self) -> str:
        """One line for `edgec targets`."""
        ...

    @property
    def recipe(self) -> QuantRecipe:
        """The quantisation this toolchain can run exactly."""
        ...

    @property
    def float_precision(self) -> str:
        """The type in which layers that a Q/DQ graph leaves in float run: fp32 or fp16."""
        ...

    @property
    def reads_wide(self) -> bool:
        """Whether a network for it may have activations of 16 bits."""
        ...

    @property
    def origin(self) -> Origin:
        """Where figures measured through `open` come from."""
        ...

    @property
    def runs_here(self) -> bool:
        """Whether this machine runs the engine file itself, and can time it."""
        ...

    @property
    def state(self) -> BuildState:
        """Whether `build` gives an engine, or only what a device builds one from."""
        ...

    @property
    def engine_name(self) -> str:
        """The engine's file name."""
        ...

    @property
    def shipped(self) -> tuple[str, ...]:
        """The names of the files that `build` writes for the device; the engine is one of them."""
        ...

    @property
    def packages(self) -> tuple[str, ...]:
        """Installed Python packages of the toolchain: reports name their versions."""
        ...

    @property
    def runner(self) -> str:
        """The module of `targets.runtime` whose `open_engine(path, threads)` opens the engine."""
        ...

    @property
    def engine_kind(self) -> EngineKind:
        """What the engine's file is: one for all targets of a runner."""
        ...

    def check(self) -> None:
        """Raise TargetUnavailable, saying what is missing and how to get it."""
        ...

    def device(self) -> str:
        """Name the machine that the engine runs on, without tools, so that baselines survive upgrades."""
        ...

    def fingerprint(self) -> str:
        """Name everything about the device and toolchain that can change an engine or a latency."""
        ...

    def build(self, model: Path, engine: Path, float_model: Path | None = None) -> None:
        """Compile the Q/DQ ONNX `model` into the file `engine`. Raises EngineError.

        Toolchains that let INT8 compete with floating point on the device also take the `float_model`.
        """
        ...

    def instructions(self, engine: Path, images: NDArray[np.uint8]) -> int | None:
        """Count the instructions of one inference where an emulator runs it; None elsewhere."""
        ...

    def open(self, engine: Path) -> AbstractContextManager[EngineRunner]:
        """Load an engine for inference. Raises EngineError."""
        ...


@runtime_checkable
class OnDevice(Protocol):
    """A target that is a device, and measures itself."""

    def measure(
        self, engine: Path, images: NDArray[np.uint8], settings: Settings, threads: int
    ) -> Measurement:
        """Time the engine there on images [N, H, W, C]. Raises EngineError or a DeviceError."""
        ...

    def findings(self) -> tuple[Check, ...]:
        """Return other findings of the last `measure`, as sentences for the report."""
        ...


@runtime_checkable
class RacesFloat(Protocol):
    """A device that may be able to run the float network too, for INT8 to compete with."""

    def race(
        self,
        engine: Path,
        float_model: Path,
        images: NDArray[np.uint8],
        settings: Settings,
        threads: int,
    ) -> tuple[Measurement, Measurement] | None:
        """Time the ONNX `float_model` and the engine there in alternation, and return both in this order.

        None if the network cannot run there: `findings` then says why. Raises a DeviceError.
        """
        ...


@runtime_checkable
class FitsPictures(Protocol):
    """A target whose engines are also programs, which take pictures of any size."""

    fitting: "Preprocessing | None"
    """What the programs of engines that are built do with a picture; if None, the usual crop."""


@runtime_checkable
class TimesLayers(Protocol):
    """A target that runs here, and times the layers of an engine one by one."""

    def layer_times(self, engine: Path, image: NDArray[np.uint8]) -> list[LayerTime]:
        """Time each layer on an image [H, W, C]. Raises EngineError."""
        ...


@runtime_checkable
class LimitsWeights(Protocol):
    """A target some of whose kernels do not take all weights of 8 bits."""

    @property
    def lowest_weight(self) -> int:
        """-127 where two products are added in 16 bits, which 2 * 128 * 128 exceeds; else -128."""
        ...


@runtime_checkable
class NamesFloatLayers(Protocol):
    """A target whose engines record which layers they compute in float."""

    def float_layers(self, engine: Path) -> tuple[str, ...]:
        """Return the layers that an engine computes in float. Raises EngineError."""
        ...


@runtime_checkable
class HasFp16(Protocol):
    """A device that has an FP16 engine too, for INT8 to compete with."""

    def open_fp16(self, engine: Path) -> AbstractContextManager[EngineRunner]:
        """Load the FP16 engine that belongs to an INT8 engine. Raises as `Target.open`."""
        ...

    def fp16_latency(self) -> Measurement | None:
        """FP16 in the last `measure`, timed in alternation with INT8."""
        ...


@dataclass(frozen=True)
class CandidateTimes:
    """Medians in ms with their intervals (value, low, high) of an engine, and what it is made of."""

    end_to_end: tuple[float, float, float | None]
    compute: tuple[float, float, float | None]
    layers: int | None
    int8_layers: int | None
    same_class: float
    """The share of images for which it names the class that FP16 names."""
    images: int
    drop: tuple[float, float, float] | None = None
    """Points of top-1 that it loses against FP16 on labelled images (value, low, high), with the interval for
    as many candidates. None: of FP16, or no labelled images were given."""


@dataclass(frozen=True)
class TriedCandidate:
    """A form of the network on a device: its times, or the problem with it."""

    name: str
    what: str
    problem: str
    times: CandidateTimes | None
    chosen: str = ""
    """Why it is the one to use; empty for all others."""


@runtime_checkable
class HasCandidates(Protocol):
    """A device on which several forms of the network compete."""

    def candidates(self) -> tuple[TriedCandidate, ...]:
        """All of them in the last `measure`, timed in alternation."""
        ...

    def choose_by(self, evaluation: Path, max_drop: float) -> None:
        """Let `measure` choose one: by the labelled images and validated logits in the file evaluation.npz.

        It may lose `max_drop` points of top-1 against FP16.
        """
        ...


@runtime_checkable
class ReportsProgress(Protocol):
    """A target whose device works for minutes and reports its progress."""

    say: Callable[[str], None]
    """Called with each of its lines."""
