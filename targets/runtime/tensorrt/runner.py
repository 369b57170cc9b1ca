"""Runs an engine that TensorRT built on this device: pixels in, logits out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .build import created, make_logger
from .candidate import DLA
from .cuda import Cuda, CudaError, Graph
from .device_engines import tensorrt, usable
from .engine import EngineChoice, EngineProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE, LOGITS = "image", "logits"
REBUILD = "rebuild it on this device: ./build_on_device.py"


class TensorRTRunner:
    """An opened engine with all its memory, allocated once. Not for use from two threads at once.

    With `in_place` the GPU reads pixels and writes logits in the processors' memory, without copies. With
    `graphs` repeated work is replayed as a CUDA graph.
    """

    def __init__(
        self, trt: Any, cuda: Cuda, engine: Any, in_place: bool = False, graphs: bool = True
    ) -> None:
        self._cuda, self._engine, self._in_place, self._records = cuda, engine, in_place, graphs
        modes = trt.TensorIOMode
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        found = {name: engine.get_tensor_mode(name) for name in names}
        if found != {IMAGE: modes.INPUT, LOGITS: modes.OUTPUT}:
            raise EngineProblem("its tensors are {}, not {} and {}".format(", ".join(names), IMAGE, LOGITS))
        wanted = {IMAGE: trt.DataType.UINT8, LOGITS: trt.DataType.FLOAT}
        types = {name: engine.get_tensor_dtype(name) for name in names}
        if types != wanted:  # other bytes would be read as numbers all the same
            told = (f"{name} is {types[name]}, not {kind}" for name, kind in wanted.items())
            raise EngineProblem(f"its types are others: {', '.join(told)}")
        shape = tuple(engine.get_tensor_shape(IMAGE))
        range_of_shapes = [shape] if shape[0] >= 0 else engine.get_tensor_profile_shape(IMAGE, 0)
        self.smallest_batch, self.largest_batch = range_of_shapes[0][0], range_of_shapes[-1][0]
        self._image = shape[1:]
        classes = int(np.prod(tuple(engine.get_tensor_shape(LOGITS))[1:]))  # of all pixels, for segmentation
        self.context = engine.create_execution_context()
        if self.context is None:
            raise EngineProblem("there is too little GPU memory for it")
        self.stream = cuda.stream()
        self.pixels = cuda.pinned((self.largest_batch, *self._image), np.uint8)
        self.logits = cuda.pinned((self.largest_batch, classes), np.float32)
        self._on_device = self._device_addresses()
        for name, address in zip((IMAGE, LOGITS), self._on_device):
            self.context.set_tensor_address(name, address)
        self._graphs: dict[tuple[int, bool], Graph | None] = {}
        self._batch = 0

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return logits [N, classes] for images [N, H, W, C] of raw pixels."""
        if images.dtype != np.uint8 or images.shape[1:] != self._image:
            size = ", ".join(map(str, self._image))
            raise ValueError(
                f"images are {images.dtype} {list(images.shape)}; this engine needs uint8 [N, {size}]"
            )
        step = self.largest_batch
        logits = np.empty((len(images), self.logits.shape[1]), np.float32)
        for start in range(0, len(images), step):
            part = images[start : start + step]
            self.pixels[: len(part)] = part
            self.run(max(len(part), self.smallest_batch))  # what earlier images left behind fills it up
            logits[start : start + len(part)] = self.logits[: len(part)]
        return logits

    def run(self, batch: int, copies: bool = True) -> None:
        """Run the first `batch` images of `pixels`; without `copies`, those that are already on the GPU.

        From the second time on it runs as one CUDA graph, if CUDA can record it.
        """
        key = batch, copies
        if batch != self._batch:
            if not self.context.set_input_shape(IMAGE, (batch, *self._image)):
                takes = f"{self.smallest_batch} to {self.largest_batch}"
                raise EngineProblem(f"the engine takes {takes} images at a time, not {batch}")
            self._batch = batch
        graph = self._graphs.get(key)
        if graph is None:
            self.enqueue(batch, copies)
        else:
            graph.launch()
        self._cuda.synchronize(self.stream)
        if self._records and key not in self._graphs:
            self._graphs[key] = self._recorded(batch, copies)

    @property
    def uses_graphs(self) -> bool:
        """Whether repeated runs use CUDA graphs."""
        return bool(self._graphs) and all(graph is not None for graph in self._graphs.values())

    def enqueue(self, batch: int, copies: bool) -> None:
        """Put one inference into the stream. Raises EngineProblem if TensorRT refuses."""
        pixels, logits = self._on_device
        copies = copies and not self._in_place
        if copies:
            self._cuda.copy_to_device(pixels, self.pixels, batch * self.pixels[0].nbytes, self.stream)
        if not self.context.execute_async_v3(self.stream):
            raise EngineProblem("TensorRT could not run the engine")
        if copies:
            self._cuda.copy_to_host(self.logits, logits, batch * self.logits[0].nbytes, self.stream)

    def synchronize(self) -> None:
        """Wait for the work in the stream."""
        self._cuda.synchronize(self.stream)

    def inspect(self, trt: Any) -> str:
        """Return TensorRT's description of all layers, as JSON text."""
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))

    def close(self) -> None:
        """Free everything."""
        for graph in self._graphs.values():
            if graph is not None:
                graph.close()
        if not self._in_place:
            for address in self._on_device:
                self._cuda.call("cudaFree", address)
        for array in (self.pixels, self.logits):
            self._cuda.free_pinned(array)
        self._cuda.call("cudaStreamDestroy", self.stream)

    def _device_addresses(self) -> tuple[int, int]:
        if self._in_place:
            return self._cuda.address_on_gpu(self.pixels), self._cuda.address_on_gpu(self.logits)
        return self._cuda.device_memory(self.pixels.nbytes), self._cuda.device_memory(self.logits.nbytes)

    def _recorded(self, batch: int, copies: bool) -> Graph | None:
        graph = Graph(self._cuda, self.stream)
        graph.begin()
        try:
            self.enqueue(batch, copies)
            graph.end()
        except (
            CudaError,
            EngineProblem,
        ):  # a layer cannot be recorded, so runs are enqueued one by one
            graph.abandon()
            return None
        return graph


@contextmanager
def open_plan(plan: Path, trt: Any, cuda: Cuda, in_place: bool = False) -> Iterator[TensorRTRunner]:
    """Load a serialised engine. Raises EngineProblem, saying what is wrong with it and what to do.

    `in_place` is TensorRTRunner's.
    """
    with open_contexts(plan, trt, cuda, 1, in_place) as (runner,):
        yield runner


@contextmanager
def open_contexts(
    plan: Path,
    trt: Any,
    cuda: Cuda,
    count: int,
    in_place: bool = False,
    graphs: bool = True,
    dla_core: int = 0,
) -> Iterator[list[TensorRTRunner]]:
    """Load a serialised engine once, with several contexts that run at the same time, as `open_plan` does.

    An engine for a DLA runs on `dla_core`.
    """
    logger = make_logger(trt)
    runtime = created(trt.Runtime, logger)
    if plan.stem.partition("-")[0] == DLA:
        runtime.DLA_core = dla_core
    engine = runtime.deserialize_cuda_engine(plan.read_bytes())
    if engine is None:
        reason = logger.errors[-1] if logger.errors else f"TensorRT {trt.__version__} refuses it"
        raise EngineProblem(f"{plan.name} cannot be used here: {reason}. Please {REBUILD}")
    runners: list[TensorRTRunner] = []
    try:
        for _ in range(count):
            runner = TensorRTRunner(trt, cuda, engine, in_place, graphs)
            runners.append(runner)  # one by one, so that those before a failure are closed
        yield runners
    except EngineProblem as error:
        if len(runners) == count:
            raise
        raise EngineProblem(f"{plan.name}: {error}. Please {REBUILD}") from error
    finally:
        for runner in runners:
            runner.close()


@contextmanager
def open_engine(engine: Path, threads: int = 1) -> Iterator[TensorRTRunner]:  # noqa: ARG001 - the GPU has its own
    """Open the precision that the build on this device chose; `engine` is a file in the folder of engines.

    Raises EngineProblem, a ValueError, if nothing was built here, or for another device or TensorRT.
    """
    try:
        choice = EngineChoice.read(engine.parent)
        plan = usable(engine.parent, choice.precision)
        trt, cuda = tensorrt(), Cuda.load()
    except CudaError as error:
        raise EngineProblem(f"TensorRT cannot be used here: {error}") from error
    with open_plan(plan, trt, cuda, choice.in_place) as runner:
        yield runner
