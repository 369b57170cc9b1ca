"""An engine that gives tensors inside the network too: TensorRT's "marked outputs".

A tensor that is marked is written to memory, so what TensorRT would have fused over it runs in parts. The
engine computes the same network by other kernels than the one that ships.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

from .build import BuildOptions, build_engine, created, make_logger
from .candidate import candidates
from .device_engines import builds_with, engine_key, tensorrt, timing_cache_name
from .engine import EnginePlace, EngineProblem
from .runner import IMAGE, LOGITS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from .cuda import Cuda
    from .jetson import DeviceFacts

Say = Callable[[str], None]
MARKED = "marked"
"""What the engine's files are called after."""


def make_marked_engine(
    engines: Path, facts: DeviceFacts, options: BuildOptions, names: Sequence[str], say: Say
) -> Path:
    """Build INT8 with some tensors marked, if that is not done yet, and return the plan.

    Raises EngineProblem; also where Python has no TensorRT, since trtexec marks by other rules.
    """
    int8 = candidates(builds_with(facts))[0]
    key = engine_key(engines, int8, facts, options)
    digest = hashlib.sha256(json.dumps(list(names)).encode()).hexdigest()[:12]
    key = replace(key, options=f"{key.options}, marked {digest}")
    place = EnginePlace(engines, MARKED)
    if place.problem(key):
        cache = engines / timing_cache_name(key, facts.power_mode)
        plan = build_engine(tensorrt(), engines / int8.onnx, int8, options, cache, say, names)
        place.store(plan, key, facts.power_mode)
    return place.plan


@dataclass(frozen=True)
class _Buffer:
    """A tensor's memory here and on the GPU."""

    host: NDArray[Any]
    device: int


def run_marked(trt: Any, cuda: Cuda, plan: Path, images: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Return every output [N, ...] of an engine for one image at a time, for images [N, H, W, C].

    Raises EngineProblem for an engine that is refused, or that gives other types than FP32 and FP16.
    """
    logger = make_logger(trt)
    engine = created(trt.Runtime, logger).deserialize_cuda_engine(plan.read_bytes())
    if engine is None:
        raise EngineProblem("{} cannot be used here: {}".format(plan.name, "; ".join(logger.errors[-1:])))
    context = engine.create_execution_context()
    if context is None:
        raise EngineProblem(f"there is too little GPU memory for {plan.name}")
    if not context.set_input_shape(IMAGE, (1, *images.shape[1:])):
        raise EngineProblem(f"the engine does not take images of {list(images.shape[1:])}")
    stream, buffers = cuda.stream(), _buffers(trt, cuda, engine, context)
    try:
        for name, buffer in buffers.items():
            context.set_tensor_address(name, buffer.device)
        rows = [_row(cuda, context, stream, buffers, image) for image in images]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    finally:
        for buffer in buffers.values():
            cuda.call("cudaFree", buffer.device)
            cuda.free_pinned(buffer.host)
        cuda.call("cudaStreamDestroy", stream)


def _buffers(trt: Any, cuda: Cuda, engine: Any, context: Any) -> dict[str, _Buffer]:
    kinds = {trt.DataType.UINT8: np.uint8, trt.DataType.FLOAT: np.float32, trt.DataType.HALF: np.float16}
    wanted = {}
    for number in range(engine.num_io_tensors):
        name = engine.get_tensor_name(number)
        kind = engine.get_tensor_dtype(name)
        if kind not in kinds or (name == IMAGE) != (kind == trt.DataType.UINT8):
            raise EngineProblem(f"its tensor {name} is {kind}, which is not read here")
        wanted[name] = (tuple(context.get_tensor_shape(name)), kinds[kind])
    if LOGITS not in wanted:
        raise EngineProblem(f"it has no tensor {LOGITS}")
    found = {}
    for name, (shape, kind) in wanted.items():
        host = cuda.pinned(shape, kind)
        found[name] = _Buffer(host, cuda.device_memory(host.nbytes))
    return found


def _row(
    cuda: Cuda, context: Any, stream: int, buffers: dict[str, _Buffer], image: NDArray[np.uint8]
) -> dict[str, NDArray[np.float32]]:
    """Return every output for one image [H, W, C]."""
    given = buffers[IMAGE]
    given.host[0] = image
    cuda.copy_to_device(given.device, given.host, given.host.nbytes, stream)
    if not context.execute_async_v3(stream):
        raise EngineProblem("TensorRT could not run the engine")
    outputs = {name: buffer for name, buffer in buffers.items() if name != IMAGE}
    for buffer in outputs.values():
        cuda.copy_to_host(buffer.host, buffer.device, buffer.host.nbytes, stream)
    cuda.synchronize(stream)
    return {name: buffer.host.astype(np.float32) for name, buffer in outputs.items()}


def write_tensors(values: dict[str, NDArray[np.float32]], file: Path) -> list[tuple[str, list[int]]]:
    """Write the values one behind the other as little-endian float32; return names and shapes in order."""
    with file.open("wb") as output:
        for one in values.values():
            output.write(one.astype("<f4").tobytes())
    return [(name, list(one.shape)) for name, one in values.items()]
