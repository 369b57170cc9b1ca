"""TARGET=host and the ARM boards: engines of the integer compiler."""

import json
import os
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe
from targets.base import CHECKS, BuildState, Check, EngineKind, EngineRunner, Origin, require_engine
from targets.devices import CpuBoard
from targets.errors import EngineError, NotInstalled, TargetUnavailable
from targets.processor import LIMIT, cpu_flags, cpu_name
from targets.reach import emulator
from targets.reach.emulator import CheckedRunner, EmulatedRunner, read_metadata
from targets.reach.instructions import instructions_per_inference
from targets.reach.local import open_local
from targets.runtime.cpu import NEEDED
from targets.runtime.native_runner import LayerTime, read_engine
from targets.tvm.isa import ISAS, Isa
from targets.tvm.tuning.database import digest

if TYPE_CHECKING:  # it loads OpenCV
    from targets.runtime.preprocess import Preprocessing

EMULATED_IMAGES = 256
"""How many images are compared with the emulator, bit for bit, if no board is given."""


class IntegerTarget:
    """The base class of the integer compiler's targets."""

    recipe: ClassVar[QuantRecipe] = QuantRecipe.parse("w8a8_asym_mse_res_wmse_obq_bc")
    float_precision: ClassVar[str] = "fp32"
    reads_wide: ClassVar[bool] = True
    runs_here: ClassVar[bool] = False
    state: ClassVar[BuildState] = BuildState.BUILT
    engine_name: ClassVar[str] = "model.engine"
    shipped: ClassVar[tuple[str, ...]] = (engine_name,)
    packages: ClassVar[tuple[str, ...]] = ("apache-tvm", "apache-tvm-ffi", "ziglang")
    runner: ClassVar[str] = "native_runner"
    engine_kind: ClassVar[EngineKind] = EngineKind.PROCESSOR_CODE
    fitting: "Preprocessing | None" = None

    def instructions(self, engine: Path, images: NDArray[np.uint8]) -> int | None:  # noqa: ARG002
        """Return None: without an emulator, instructions are not counted."""
        return None

    def float_layers(self, engine: Path) -> tuple[str, ...]:
        """Return the layers that an engine computes in float. Raises EngineError."""
        try:
            layers = read_engine(engine)[0]["layers"]
        except ValueError as error:
            raise EngineError(str(error)) from error
        return tuple(dict.fromkeys(layer["node"] for layer in layers if not layer["int8"]))


class HostTarget(IntegerTarget):
    """The build machine's CPU."""

    name: ClassVar[str] = "host"
    summary: ClassVar[str] = "this machine's CPU: an integer engine compiled with TVM"
    origin: ClassVar[Origin] = Origin.HOST
    runs_here: ClassVar[bool] = True

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def check(self) -> None:
        """Raise TargetUnavailable if TVM or ziglang is missing, or the CPU is not supported."""
        check_toolchain()
        host_isa()

    def device(self) -> str:
        """Name the processor, and the instruction set that it is limited to."""
        limited = f", limited to {host_isa().name} by {LIMIT}" if os.environ.get(LIMIT) else ""
        return cpu_name() + limited

    def fingerprint(self) -> str:
        """Name the processor, the instruction set and the tools."""
        return f"{cpu_name()} / {host_isa().name} / {tools()} / tiles {digest(host_isa())}"

    def build(self, model: Path, engine: Path, float_model: Path | None = None) -> None:  # noqa: ARG002
        """Compile the Q/DQ ONNX. Raises EngineError."""
        compile_engine(model, host_isa(), engine, self.fitting)

    def open(self, engine: Path) -> AbstractContextManager[EngineRunner]:
        """Load an engine. Raises EngineError."""
        return open_local(engine, self.threads, self.name)

    def layer_times(self, engine: Path, image: NDArray[np.uint8]) -> list[LayerTime]:
        """Time each step of an engine on an image [H, W, C]. Raises EngineError."""
        with open_local(engine, 1, self.name) as runner:
            return runner.layer_times(image)


class ArmTarget(IntegerTarget):
    """An ARM board. Without one, engines run in the emulator."""

    def __init__(self, board: CpuBoard, threads: int = 1) -> None:
        self.board = board
        self.threads = threads

    @property
    def name(self) -> str:
        """The board's name."""
        return self.board.name

    @property
    def summary(self) -> str:
        """The board's description."""
        return self.board.summary

    @property
    def origin(self) -> Origin:
        """The emulator. Without it this machine, whose engine computes the same integers."""
        return Origin.EMULATOR if emulator.is_installed() else Origin.HOST

    @property
    def lowest_weight(self) -> int:
        """The lowest weight that the board's kernels take."""
        return ISAS[self.board.isa].lowest_weight

    def check(self) -> None:
        """Raise TargetUnavailable if TVM or ziglang is missing. Without the emulator less is checked."""
        check_toolchain()
        host_isa()

    def device(self) -> str:
        """Name the emulated processor, or the machine that is used instead."""
        if emulator.is_installed():
            return f"{emulator.QEMU} -cpu {self.board.emulated_cpu}"
        return f"{cpu_name()} (nothing emulated)"

    def fingerprint(self) -> str:
        """Name the instruction set, the emulated processor, the host's instruction set, and the tools."""
        tiles = f"tiles {digest(ISAS[self.board.isa])} and {host_isa().name} {digest(host_isa())}"
        return f"{self.board.isa} / {self.device()} / {tools()} / {tiles}"

    def build(self, model: Path, engine: Path, float_model: Path | None = None) -> None:  # noqa: ARG002
        """Compile the Q/DQ ONNX, and an engine for this machine to check against. Raises EngineError."""
        compile_engine(model, ISAS[self.board.isa], engine, self.fitting)
        compile_engine(model, host_isa(), _host_engine(engine), self.fitting)
        if ISAS[self.board.isa].triple.startswith("aarch64"):
            checks = json.dumps([asdict(self._emulate(engine))], indent=1)
            engine.with_name(CHECKS).write_text(checks)

    def _emulate(self, engine: Path) -> Check:
        """Run the engine's self-test where there is an emulator."""
        name = f"{self.board.isa} engine in the emulator"
        try:
            emulator.check()
        except TargetUnavailable as error:
            stand_in = "Until then figures are from this machine's engine, compiled from the same integers."
            return Check(name, "skipped", f"Not checked: {error} {stand_in}")
        output = EmulatedRunner(engine, self.board.emulated_cpu).selftest()
        return Check(name, "passed", f"{emulator.QEMU} -cpu {self.board.emulated_cpu}, self-test: {output}")

    def instructions(self, engine: Path, images: NDArray[np.uint8]) -> int | None:
        """Count the instructions of one inference on one thread, emulated. Raises EngineError."""
        if not emulator.is_installed():
            return None
        return instructions_per_inference(engine, self.board.emulated_cpu, images)

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        """Run all images on this machine, and the first also emulated. Raises EngineError if a bit differs.

        If there is no emulator, or no engine for this machine, only the other one runs.
        """
        require_engine(engine, self.name)
        if not emulator.is_installed():
            read_metadata(engine)  # the board's own engine is at least complete
            with open_local(_host_engine(engine), self.threads, self.name) as host:
                yield host
            return
        emulated = EmulatedRunner(engine, self.board.emulated_cpu, self.threads)
        emulated.selftest()
        if not _host_engine(engine).is_file():
            yield emulated
            return
        with open_local(_host_engine(engine), self.threads, self.name) as host:
            yield CheckedRunner(emulated, host, EMULATED_IMAGES)


def _host_engine(engine: Path) -> Path:
    return engine.with_name(engine.name + ".host")


def host_isa() -> Isa:
    """Return this machine's fastest instruction set, or the one that EDGEC_ISA names.

    Raises TargetUnavailable if there is none, or if the machine does not have the named one.
    """
    flags, machine = cpu_flags(), platform.machine()
    available = [isa for isa in ISAS.values() if isa.triple.startswith(machine) and NEEDED[isa.name] <= flags]
    wanted = os.environ.get(LIMIT)
    if wanted and wanted not in [isa.name for isa in available]:
        has = ", ".join(isa.name for isa in available) or "none of ours"
        raise TargetUnavailable(
            f"{LIMIT} is {wanted!r}; this machine's instruction sets are {has}. Name one of these, or"
            " unset it."
        )
    if not available:
        raise TargetUnavailable(
            f"This machine ({machine}) has none of the instruction sets engines are made for: x86-64 with "
            "SSE4.2, or 64-bit ARM. Use --target reference."
        )
    return ISAS[wanted] if wanted else available[0]


def check_toolchain() -> None:
    """Raise TargetUnavailable if TVM or ziglang is missing."""
    for module, package in (("tvm", "apache-tvm"), ("ziglang", "ziglang")):
        if find_spec(module) is None:
            raise NotInstalled(package)


def tools() -> str:
    """The compiler's versions."""
    return f"tvm {version('apache-tvm')}, zig {version('ziglang')}"


def compile_engine(model: Path, isa: Isa, engine: Path, fitting: "Preprocessing | None" = None) -> None:
    """Compile a Q/DQ ONNX. Loads TVM and onnx, which nothing else here does. Raises EngineError."""
    from targets.tvm.engine_file import write_engine
    from targets.tvm.importer import import_graph

    write_engine(import_graph(model), isa, engine, fitting)
