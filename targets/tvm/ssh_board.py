"""TARGET=rpi5 and other boards with DEVICE=ssh://...: engines run and are measured on the board itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from targets.base import Check, EngineRunner, Origin, require_engine
from targets.devices import CpuBoard
from targets.errors import EngineError, TargetUnavailable
from targets.reach.kept_open import kept_open
from targets.reach.leased_board import leased
from targets.reach.probe import BoardFacts, probe
from targets.reach.remote import measure_remote, race_remote, start_remote
from targets.reach.ssh import SshDevice
from targets.reach.transfer import file_digest
from targets.runtime.measure import Measurement, Settings
from targets.tvm.cpu_target import IntegerTarget, check_toolchain, compile_engine, tools
from targets.tvm.isa import ISAS


class BoardTarget(IntegerTarget):
    """A board that is reached over SSH."""

    origin: ClassVar[Origin] = Origin.DEVICE

    def __init__(self, board: CpuBoard, reached: SshDevice, threads: int = 1) -> None:
        self.board = board
        self.reached = reached
        self.threads = threads
        self.say: Callable[[str], None] = lambda _: None
        self._not_raced: tuple[Check, ...] = ()

    @property
    def name(self) -> str:
        """The board's name."""
        return self.board.name

    @property
    def summary(self) -> str:
        """The board's description, and its address."""
        return f"{self.board.summary}, at {self.reached.address}"

    @property
    def lowest_weight(self) -> int:
        """The lowest weight that the board's kernels take."""
        return ISAS[self.board.isa].lowest_weight

    def check(self) -> None:
        """Raise TargetUnavailable if the toolchain is missing here or the board lacks what engines need."""
        check_toolchain()
        facts = board_facts(self.reached)
        lacks = [*facts.missing(opencv=False), *facts.misfit(self.board.isa, self.name)]
        if lacks:
            raise TargetUnavailable(f"{self.reached.address} cannot be measured: {'; '.join(lacks)}.")

    def device(self) -> str:
        """Name the board, its processor and system, as the board reports them."""
        return board_facts(self.reached).identity

    def fingerprint(self) -> str:
        """Name the instruction set, the board, the tools, and the board's onnxruntime for FP32, if any."""
        onnxruntime = board_facts(self.reached).onnxruntime
        return f"{self.board.isa} / {self.device()} / {tools()} / onnxruntime there: {onnxruntime}"

    def build(self, model: Path, engine: Path, float_model: Path | None = None) -> None:  # noqa: ARG002
        """Compile the Q/DQ ONNX. Raises EngineError."""
        compile_engine(model, ISAS[self.board.isa], engine, self.fitting)

    def measure(
        self, engine: Path, images: NDArray[np.uint8], settings: Settings, threads: int
    ) -> Measurement:
        """Time the engine there. Raises EngineError or a DeviceError, such as DeviceThrottled."""
        return measure_remote(self.reached, engine, images, settings, threads)

    def race(
        self,
        engine: Path,
        float_model: Path,
        images: NDArray[np.uint8],
        settings: Settings,
        threads: int,
    ) -> tuple[Measurement, Measurement] | None:
        """Time the float network in the board's onnxruntime, if it has one, and the engine in alternation."""
        if board_facts(self.reached).onnxruntime is None:
            self._not_raced = (_not_raced("its Python has no onnxruntime: pip install onnxruntime there"),)
            return None
        try:
            return race_remote(self.reached, engine, float_model, images, settings, threads)
        except EngineError as error:
            self._not_raced = (_not_raced(str(error)),)
            return None

    def findings(self) -> tuple[Check, ...]:
        """Why the float network was not timed there, if it was not."""
        return self._not_raced

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        """Run an engine there. Raises EngineError or a DeviceError."""
        require_engine(engine, self.name)
        what = (self.reached.address, file_digest(engine), self.threads)
        with (
            leased(self.reached, self.say),
            kept_open(what, lambda: start_remote(self.reached, engine, self.threads)) as runner,
        ):
            yield runner


def _not_raced(why: str) -> Check:
    return Check(
        "FP32 on the board", "skipped", f"Whether INT8 is faster there (min_speedup) was not judged: {why}."
    )


@cache
def board_facts(reached: SshDevice) -> BoardFacts:
    """Return the board's facts, which are cached since a build needs them often."""
    return probe(reached)
