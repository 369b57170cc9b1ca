"""TARGET=jetson and other modules: TensorRT on the GPU of a Jetson."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.recipe import QuantRecipe
from targets.base import CHECKS, BuildState, Check, EngineKind, EngineRunner, Origin, require_engine
from targets.devices import Jetson
from targets.errors import TargetUnavailable
from targets.reference import ReferenceTarget
from targets.runtime.tensorrt.candidate import FP8_ONNX, FP16_ONNX, HALF_ONNX, INT8_FP16_ONNX, INT8_ONNX
from targets.tensorrt import rtx

if TYPE_CHECKING:
    from targets.tensorrt.onnx_files import OnnxFiles


PLACED = (
    "Q/DQ keeps NVIDIA's placement rules, by edgec's own check of the graph. "
    "Only a device shows what TensorRT fuses"
)


class JetsonTarget:
    """A Jetson module. Its engine is built on the device; without one the Q/DQ graph is validated here."""

    recipe: ClassVar[QuantRecipe] = QuantRecipe.parse("w8a8_sym_mse_wmse_obq_bc")
    float_precision: ClassVar[str] = "fp16"
    reads_wide: ClassVar[bool] = False
    origin: ClassVar[Origin] = Origin.HOST
    runs_here: ClassVar[bool] = False
    state: ClassVar[BuildState] = BuildState.NOT_BUILT
    engine_name: ClassVar[str] = "int8_qdq.onnx"
    packages: ClassVar[tuple[str, ...]] = ()  # TensorRT is the device's
    runner: ClassVar[str] = "tensorrt.runner"
    engine_kind: ClassVar[EngineKind] = EngineKind.OF_ONE_DEVICE

    def __init__(self, module: Jetson, threads: int = 1) -> None:
        self.module = module
        self.threads = threads

    @property
    def name(self) -> str:
        """The module's name."""
        return self.module.name

    @property
    def shipped(self) -> tuple[str, ...]:
        """The ONNX files, which are all that `build` writes."""
        return (INT8_ONNX, INT8_FP16_ONNX, HALF_ONNX, FP16_ONNX, *([FP8_ONNX] if self.module.fp8 else []))

    @property
    def summary(self) -> str:
        """The module's description."""
        return self.module.summary

    def check(self) -> None:
        """Raise TargetUnavailable for a module without INT8, or if onnxruntime cannot run the graph here."""
        if self.module.refused:
            raise TargetUnavailable(
                f"{self.name} cannot run INT8: {self.module.refused}. For its CPU build --target arm."
            )
        ReferenceTarget(self.threads).check()

    def device(self) -> str:
        """Name this machine's processor: the graph runs on it, there is no engine."""
        return ReferenceTarget().device()

    def fingerprint(self) -> str:
        """Name the module, and the tools that checked the graph here."""
        compiler = f"TensorRT-RTX {rtx.installed() or 'not installed'} for {self.module.rtx}"
        return (
            f"sm_{self.module.sm} / {self.state} / {compiler} / {ReferenceTarget(self.threads).fingerprint()}"
        )

    def build(self, model: Path, engine: Path, float_model: Path | None = None) -> None:
        """Write the ONNX files beside `engine`, which is one of them, and checks.json. Raises EngineError."""
        from targets.tensorrt.onnx_files import write_onnx_files

        files = write_onnx_files(model, float_model, engine, self.module.fp8)
        placed = Check("placement", "passed", PLACED)
        checks = [placed, *self._compiled(files), ReferenceTarget(self.threads).exactness()]
        text = json.dumps([asdict(check) for check in checks], indent=1)
        engine.with_name(CHECKS).write_text(text + "\n")

    def _compiled(self, files: "OnnxFiles") -> Iterator[Check]:
        if rtx.installed() is None:
            advice = "pip install 'edgec[jetson]'"
            message = f"nothing compiled the graph here: TensorRT-RTX is not installed ({advice})"
            yield Check("TensorRT-RTX", "skipped", message)
            return
        if files.not_half:
            yield Check("FP16 scales", "skipped", f"no form with FP16 scales: {files.not_half}")
        for path in (files.int8, files.int8_fp16, *([] if files.not_half else [files.half])):
            message = rtx.check_int8(path, files.convolutions, self.module.rtx)
            yield Check(f"TensorRT-RTX {path.name}", "passed", message)
        if files.not_fp8:
            yield Check("FP8", "skipped", f"no form with FP8: {files.not_fp8}")
        if files.fp8:
            message = rtx.check_multiplies("FP8", files.fp8, files.fp8_convolutions, self.module.rtx)
            yield Check(f"TensorRT-RTX {files.fp8.name}", "passed", message)
        if files.fp16:
            message = rtx.check_compiles(files.fp16, self.module.rtx)
            yield Check(f"TensorRT-RTX {files.fp16.name}", "passed", message)

    def instructions(self, engine: Path, images: NDArray[np.uint8]) -> int | None:  # noqa: ARG002
        """No emulator runs a Jetson's GPU."""
        return None

    @contextmanager
    def open(self, engine: Path) -> Iterator[EngineRunner]:
        """Open the Q/DQ graph in onnxruntime on this machine. Raises EngineError."""
        require_engine(engine, self.name)
        with ReferenceTarget(self.threads).open(engine) as runner:
            yield runner
