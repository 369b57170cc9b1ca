"""TARGET=reference: the Q/DQ graph itself, run by onnxruntime on the build machine."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe
from targets.base import CHECKS, BuildState, Check, EngineKind, EngineRunner, Origin, require_engine
from targets.errors import EngineError, NotInstalled, TargetUnavailable
from targets.processor import cpu_name
from targets.runtime.exact.session import NotExactError, SessionSettings, exact_settings
from targets.runtime.reference_runner import open_engine


class ReferenceTarget:
    """The portable graph in onnxruntime, with settings that are exact on this processor."""

    name: ClassVar[str] = "reference"
    summary: ClassVar[str] = (
        "the Q/DQ graph in onnxruntime on the build machine; all others are compared with it"
    )
    recipe: ClassVar[QuantRecipe] = QuantRecipe.parse("w8a8_asym_mse_res_wmse_obq_bc")
    float_precision: ClassVar[str] = "fp32"
    reads_wide: ClassVar[bool] = True  # so that it has the same network as the CPU engines
    origin: ClassVar[Origin] = Origin.HOST
    runs_here: ClassVar[bool] = True
    state: ClassVar[BuildState] = BuildState.BUILT
    engine_name: ClassVar[str] = "model.int8.onnx"
    shipped: ClassVar[tuple[str, ...]] = (engine_name,)
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    runner: ClassVar[str] = "reference_runner"
    engine_kind: ClassVar[EngineKind] = EngineKind.GRAPH

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def check(self) -> None:
        """Raise TargetUnavailable if onnxruntime is missing. Exactness is checked when it is used."""
        if find_spec("onnxruntime") is None:
            raise NotInstalled("onnxruntime")

    def settings(self) -> SessionSettings:
        """Return the settings that a test on this processor found exact.

        Raises TargetUnavailable if there are none.
        """
        try:
            return exact_settings(self.threads)
        except NotExactError as error:
            raise TargetUnavailable(str(error)) from error

    def device(self) -> str:
        """Name the processor."""
        return cpu_name()

    def fingerprint(self) -> str:
        """Name the processor and onnxruntime's version.

        Both decide latency, how quantised graphs are run exactly, and sometimes a rounding.
        """
        return f"{cpu_name()} / onnxruntime {version('onnxruntime')}"

    def exactness(self) -> Check:
        """Return the settings that are exact here as a check. Raises TargetUnavailable if there are none."""
        message = f"onnxruntime runs quantised graphs with {self.settings().words}: seen to be exact here"
        return Check("exactness", "passed", message)

    def build(self, model: Path, engine: Path, float_model: Path | None = None) -> None:  # noqa: ARG002
        """Check that onnxruntime loads `model` and is exact, and copy the model."""
        with self.open(model):
            shutil.copyfile(model, engine)
        engine.with_name(CHECKS).write_text(json.dumps([asdict(self.exactness())], indent=1))

    def instructions(self, engine: Path, images: NDArray[np.uint8]) -> int | None:  # noqa: ARG002
        """Return None: there is no emulator that counts them."""
        return None

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        """Load an ONNX file, float or Q/DQ."""
        require_engine(engine, self.name)
        try:
            opened = open_engine(engine, self.threads)
            with opened as runner:
                yield runner
        except NotExactError as error:
            raise TargetUnavailable(str(error)) from error
        except ValueError as error:
            raise EngineError(str(error)) from error
