"""A Jetson as a program sees it: TensorRT's double of one version over a CUDA runtime that is a double too.

The engine it "builds" is the digest of its ONNX file; what it computes is `logits_of`.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import numpy as np

from targets.runtime.tensorrt import cuda
from tests.targets.tensorrt.bindings import import_bindings
from tests.targets.tensorrt.double import Double, DoubleObject

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE, CLASSES, LARGEST = (8, 8, 3), 5, 8
ANY_BATCH = (1, 1, LARGEST)
LAYERS = {
    "Layers": [
        {
            "Name": "conv1",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Format/Datatype": "Row major Int8 format"}],
            "Outputs": [{"Format/Datatype": "Row major linear FP16 format"}],
        },
        {"Name": "Reformatting CopyNode 0", "LayerType": "Reformat", "Inputs": [{"Format/Datatype": "FP16"}]},
        {
            "Name": "fc",
            "LayerType": "CaskGemm",
            "Inputs": [{"Format/Datatype": "Row major linear FP16 format"}],
        },
    ]
}
TIMES_MS = {"conv1": 0.6, "Reformatting CopyNode 0": 0.1, "fc": 0.3}
KERNEL = ctypes.CFUNCTYPE(None)


def logits_of(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits [N, CLASSES] that depend on every pixel and its place; whole numbers, so exact in any order."""
    flat = images.reshape(len(images), -1).astype(np.int64)
    weights = np.random.default_rng(0).integers(-9, 10, (flat.shape[1], CLASSES))
    return (flat @ weights).astype(np.float32)


class DeviceDouble:
    """The modules that a device has, put where the runtime looks for them."""

    def __init__(self, bindings: Path) -> None:
        self.trt = Double(import_bindings(bindings))
        self.library = ctypes.CDLL(str(bindings / "lib" / "libcudart.so"))
        self.built_from = b""
        self.batches: tuple[int, ...] = ANY_BATCH
        self.refuses: Callable[[bytes], bool] = lambda _: False
        self.cannot_build: Callable[[bytes], bool] = lambda _: False
        self.computes: Callable[[bytes, NDArray[np.float32]], NDArray[np.float32]] = lambda _, logits: logits
        self.layers_of: Callable[[bytes], tuple[Any, dict[str, float]]] = lambda _: (LAYERS, TIMES_MS)
        self.kernels: list[Any] = []
        self.marked: list[str] = []
        self.inside: Callable[[bytes, list[str], NDArray[np.uint8]], list[NDArray[np.float32]]] | None = None
        """Gives tensors by their names; then logits are its, too, and layers are those of the ONNX file."""
        self.trt.answers.update(self._answers())
        sys.modules["tensorrt"] = self.trt  # type: ignore[assignment]
        module: Any = cuda
        module.LIBRARIES = (str(bindings / "lib" / "libcudart.so"),)

    def _answers(self) -> dict[tuple[str, str], Any]:
        trt = self.trt
        image = trt.make("ITensor")
        mode, kinds = trt.genuine.TensorIOMode, trt.genuine.DataType
        return {
            ("ITensor", "name"): "image",
            ("ITensor", "shape"): (-1, *SHAPE),
            ("INetworkDefinition", "get_input"): lambda _: image,
            ("OnnxParser", "parse"): self._parse,
            ("OnnxParser", "num_errors"): 1,
            ("ParserError", "desc"): "what TensorRT said",
            ("OnnxParser", "get_error"): lambda _: trt.make("ParserError"),
            ("Builder", "build_serialized_network"): lambda *_: self._built(),
            ("ITimingCache", "serialize"): b"timings",
            ("Runtime", "deserialize_cuda_engine"): self._deserialize,
            ("ICudaEngine", "num_io_tensors"): 2,
            ("ICudaEngine", "get_tensor_name"): ("image", "logits").__getitem__,
            ("ICudaEngine", "get_tensor_mode"): {"image": mode.INPUT, "logits": mode.OUTPUT}.__getitem__,
            ("ICudaEngine", "get_tensor_shape"): {"image": (-1, *SHAPE), "logits": (-1, CLASSES)}.__getitem__,
            ("ICudaEngine", "get_tensor_dtype"): {"image": kinds.UINT8, "logits": kinds.FLOAT}.__getitem__,
            ("IOptimizationProfile", "set_shape"): self._set_shape,
        }

    def have_dla(self) -> None:
        """Two accelerators, and a network of two convolutions of which they compute the first."""
        trt = self.trt
        tensors = {name: trt.make("ITensor", name=name) for name in ("first", "second")}
        layers = [
            trt.make("ILayer", name=name, num_outputs=1, get_output=[tensors[name]].__getitem__)
            for name in tensors
        ]
        answers = {"num_inputs": 1, "num_layers": 2, "get_layer": layers.__getitem__}
        trt.answers.update({("INetworkDefinition", name): answer for name, answer in answers.items()})
        trt.answers["Builder", "num_DLA_cores"] = 2
        trt.answers["IBuilderConfig", "can_run_on_DLA"] = lambda layer: layer is layers[0]

    def _parse(self, model: bytes) -> bool:
        self.built_from = hashlib.sha256(model).hexdigest().encode()
        if self.inside is not None:
            self._have_layers_of(model)
        return not model.startswith(b"broken")

    def _built(self) -> bytes | None:
        batches = ",".join(map(str, self.batches)).encode()
        refused = self.cannot_build(self.built_from)
        marked = b" ".join([b"", *(name.encode() for name in self.marked)])
        return None if refused else b"plan of " + self.built_from + b" for " + batches + marked

    def _have_layers_of(self, model: bytes) -> None:
        import onnx

        self.marked = []
        trt, nodes = self.trt, onnx.load_model_from_string(model).graph.node
        tensors = [
            trt.make("ITensor", name=one.output[0], is_network_output=one.output[0] == "logits")
            for one in nodes
        ]
        layers = [trt.make("ILayer", num_outputs=1, get_output=[one].__getitem__) for one in tensors]
        network = {"num_layers": len(layers), "get_layer": layers.__getitem__}
        network["mark_output"] = lambda tensor: self.marked.append(tensor.name)
        trt.answers.update({("INetworkDefinition", name): answer for name, answer in network.items()})

    def _set_shape(self, _: str, *shapes: tuple[int, ...]) -> None:
        self.batches = tuple(shape[0] for shape in shapes)

    def _deserialize(self, plan: bytes) -> DoubleObject | None:
        if self.refuses(plan):
            return None
        words = plan.split()
        built_from = words[2] if len(words) > 2 else b""
        described, times = self.layers_of(built_from)
        batches = tuple(map(int, words[4].split(b","))) if len(words) > 4 else ANY_BATCH
        marked = [one.decode() for one in words[5:]]
        context = Context(self, times, batches, built_from, marked)
        tensors = self._tensors(marked) if marked else {}
        text = json.dumps(described)
        given = self.trt.answers.get(("ICudaEngine", "get_tensor_profile_shape"))
        return self.trt.make(
            "ICudaEngine",
            get_tensor_profile_shape=given or (lambda *_: [(batch, *SHAPE) for batch in batches]),
            **tensors,
            create_execution_context=lambda: context.double,
            create_engine_inspector=lambda: self.trt.make(
                "EngineInspector", get_engine_information=lambda _: text
            ),
        )

    def _tensors(self, marked: list[str]) -> dict[str, Any]:
        """Return what an engine with more outputs says of its tensors."""
        mode, kinds = self.trt.genuine.TensorIOMode, self.trt.genuine.DataType
        names = ["image", *marked, "logits"]
        return {
            "num_io_tensors": len(names),
            "get_tensor_name": names.__getitem__,
            "get_tensor_mode": lambda name: mode.INPUT if name == "image" else mode.OUTPUT,
            "get_tensor_dtype": lambda name: kinds.UINT8 if name == "image" else kinds.FLOAT,
        }


class Context:
    """An execution context: its state and calls."""

    def __init__(
        self,
        device: DeviceDouble,
        times_ms: dict[str, float],
        batches: tuple[int, ...],
        built_from: bytes,
        marked: list[str],
    ) -> None:
        self.device, self.built_from, self.marked = device, built_from, marked
        self.times_ms = times_ms
        self.addresses: dict[str, int] = {}
        self.batch, self.batches = 1, batches
        methods = {
            "set_input_shape": self.set_input_shape,
            "set_tensor_address": self.set_tensor_address,
            "execute_async_v3": self.execute,
            "get_tensor_shape": self.shape,
        }
        self.double = device.trt.make("IExecutionContext", **methods)

    def set_input_shape(self, _: str, shape: tuple[int, ...]) -> bool:
        if not self.batches[0] <= shape[0] <= self.batches[-1] or shape[1:] != SHAPE:
            return False  # and the shape from before stays
        self.batch = shape[0]
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor for the batch that is set now."""
        if name == "image":
            return (self.batch, *SHAPE)
        assert self.device.inside is not None
        zeros = np.zeros((self.batch, *SHAPE), np.uint8)
        return self.device.inside(self.built_from, [name], zeros)[0].shape

    def execute(self, stream: int) -> bool:
        """Put the network into the stream, for the batch that is set now."""
        assert stream
        batch = self.batch

        def kernel() -> None:
            pixels = (ctypes.c_uint8 * (batch * int(np.prod(SHAPE)))).from_address(self.addresses["image"])
            logits = (ctypes.c_float * (batch * CLASSES)).from_address(self.addresses["logits"])
            images = np.ctypeslib.as_array(pixels).reshape(batch, *SHAPE)
            found = self.device.computes(self.built_from, logits_of(images))
            if self.device.inside is not None:
                *inner, found = self.device.inside(self.built_from, [*self.marked, "logits"], images)
                for name, values in zip(self.marked, inner):
                    to = (ctypes.c_float * values.size).from_address(self.addresses[name])
                    np.ctypeslib.as_array(to)[:] = values.astype(np.float32).ravel()
            np.ctypeslib.as_array(logits)[:] = found.ravel()
            if self.double.profiler is not None:
                for name, ms in self.times_ms.items():
                    self.double.profiler.report_layer_time(name, ms)

        self.device.kernels.append(KERNEL(kernel))
        self.device.library.double_kernel(self.device.kernels[-1])
        return True
