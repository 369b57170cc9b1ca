"""Builds engines on the device with TensorRT's Python API, versions 8.5 to 11."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Sequence

from ..beside import beside
from .dla import on_gpu_file, use_dla
from .engine import EngineProblem, write
from .sparse_weights import has_sparse_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .candidate import Candidate

Say = Callable[[str], None]

HEARTBEAT_S = 15.0


@dataclass(frozen=True)
class BuildOptions:
    """How to build: for `batch` images at a time, or with `largest_batch` for 1 to so many.

    Latency is measured on an engine for one batch alone: a range of batches forbids kernels and formats that
    suit only one of them.
    """

    workspace_mib: int = 1024
    batch: int = 1
    largest_batch: int | None = None

    @property
    def batches(self) -> tuple[int, int, int]:
        """The smallest, tuned and largest batch of the profile."""
        if self.largest_batch is None:
            return self.batch, self.batch, self.batch
        return 1, self.batch, max(self.batch, self.largest_batch)

    def __str__(self) -> str:
        smallest, tuned, largest = self.batches
        batches = f"batch {tuned}" + (f" of {smallest}..{largest}" if smallest < largest else "")
        return f"workspace {self.workspace_mib} MiB, {batches}, one stream"


def make_logger(trt: Any) -> Any:
    """Return a silent logger that collects errors in its list `errors`."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Collects errors."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(msg)

    return Logger()


def build_engine(
    trt: Any,
    onnx: Path,
    candidate: Candidate,
    options: BuildOptions,
    cache: Path,
    say: Say,
    marked: Sequence[str] = (),
) -> bytes:
    """Build a candidate's engine from `onnx` with the module `tensorrt` and return it, serialised.

    Timed tactics are kept in the file `cache`. Tensors that are `marked` become outputs too, as far as
    TensorRT's network has them. Raises EngineProblem with TensorRT's messages.
    """
    strong = candidate.strongly_typed
    logger = make_logger(trt)
    builder = created(trt.Builder, logger)
    network = builder.create_network(_network_flags(trt, strong))
    parser = created(trt.OnnxParser, logger, network)
    model = onnx.read_bytes()
    if not parser.parse(model):
        errors = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        raise EngineProblem(
            "TensorRT {} cannot read {}: {}".format(trt.__version__, onnx.name, "; ".join(errors))
        )
    _mark(network, marked)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    if hasattr(config, "max_aux_streams"):  # TensorRT 8.6
        config.max_aux_streams = 0
    if not strong:
        config.set_flag(trt.BuilderFlag.FP16)
        if candidate.int8:
            config.set_flag(trt.BuilderFlag.INT8)
    if candidate.on_dla:
        on_gpu = use_dla(trt, network, config, onnx)
        say(f"the DLA leaves {len(on_gpu)} of {network.num_layers} layers to the GPU")
        write(on_gpu_file(onnx), json.dumps(on_gpu).encode())
    if has_sparse_weights(model):
        config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
    _add_profile(builder, network, config, options)
    _use_times(config, cache, say)
    with heartbeat(f"building {onnx.name}", say):
        plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = "; ".join(logger.errors[-3:]) or "it did not say why"
        raise EngineProblem(f"TensorRT {trt.__version__} cannot build {onnx.name}: {reason}")
    write(cache, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


def _mark(network: Any, names: Sequence[str]) -> None:
    """Make tensors outputs of the network; the parser calls them as the ONNX file does."""
    for number in range(network.num_layers if names else 0):
        layer = network.get_layer(number)
        for output in range(layer.num_outputs):
            tensor = layer.get_output(output)
            if tensor is not None and tensor.name in names and not tensor.is_network_output:
                network.mark_output(tensor)


def created(kind: Any, logger: Any, *before: Any) -> Any:
    """Return a new object of one of TensorRT's classes, whose last argument is the logger.

    Raises EngineProblem in TensorRT's words. Where the library can make none (without a GPU, a driver that
    fits, or memory), its bindings raise TypeError: "factory function returned nullptr".
    """
    try:
        made = kind(*before, logger)
    except TypeError as error:
        if "nullptr" not in str(error):
            raise
        made = None
    if made is None:
        reason = "; ".join(logger.errors[-3:]) or "it did not say why; is there a GPU, and a driver for it?"
        raise EngineProblem(f"TensorRT cannot start here: {reason}")
    return made


def _use_times(config: Any, cache: Path, say: Say) -> None:
    """Let TensorRT reuse the times of kernels in the file `cache`, if it accepts them."""
    if cache.is_file():
        known = config.create_timing_cache(cache.read_bytes())
        if known is not None and config.set_timing_cache(known, False):
            return
        say(f"{cache.name} is of another device or TensorRT: all kernels are timed again")
    config.set_timing_cache(config.create_timing_cache(b""), False)


def _network_flags(trt: Any, strong: bool) -> int:
    flag = trt.NetworkDefinitionCreationFlag
    if strong:
        return 1 << int(flag.STRONGLY_TYPED)
    # TensorRT 10 has no other way than explicit batches, and some of its versions not even the name
    return 1 << int(flag.EXPLICIT_BATCH) if hasattr(flag, "EXPLICIT_BATCH") else 0


def _add_profile(builder: Any, network: Any, config: Any, options: BuildOptions) -> None:
    image = network.get_input(0)
    shape = tuple(image.shape)
    if shape[0] >= 0:
        return
    profile = builder.create_optimization_profile()
    profile.set_shape(image.name, *[(batch, *shape[1:]) for batch in options.batches])
    config.add_optimization_profile(profile)


@contextmanager
def heartbeat(what: str, say: Say) -> Iterator[None]:
    """Report the elapsed time of something every few seconds while it runs, and at its end."""
    start = time.monotonic()
    say(what)
    with beside(lambda: say(f"{what}: {time.monotonic() - start:.0f} s"), HEARTBEAT_S):
        yield
    say(f"{what}: done in {time.monotonic() - start:.0f} s")
