"""Networks that others have quantised: by onnxruntime, or written by hand as tools write them."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from calibration.scheme import Scheme
from pipeline.models.foreign.description import Description, ForeignModel, described
from pipeline.models.foreign.quantised.read_quantised import QuantisedNetwork, read_quantised
from targets.runtime.exact.session import SessionSettings, open_session
from targets.tvm import oracle
from targets.tvm.importer import import_graph
from tests.pipeline.models.foreign.networks import SIDE, export, make

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Floats = NDArray[np.float32]


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth pictures, each with colours of its own, so that logits differ."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, SIDE // 8, SIDE // 8, 3))
    return np.asarray(coarse.repeat(8, axis=1).repeat(8, axis=2), np.uint8)


def normalised(images: NDArray[np.uint8]) -> Floats:
    """As torchvision does it: float32 NCHW."""
    mean, std = (np.array(values, np.float32) for values in (MEAN, STD))
    values = (images / np.float32(255) - mean) / std
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2), np.float32)


class _Calibration(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    def __init__(self) -> None:
        self.images: Iterator[Floats] = iter(normalised(pictures(8, seed=1)))

    def get_next(self) -> Any:  # noqa: ANN401 -- onnxruntime's signature
        image = next(self.images, None)
        return None if image is None else {"input": image[None]}


def by_onnxruntime(
    kind: type[nn.Module], folder: Path, opset: int = 17, prepared: bool = True, **settings: object
) -> Path:
    """Quantise a network of `networks` with `quantize_static`, `prepared` for that as onnxruntime advises."""
    export(make(kind), folder / "float.onnx", opset)
    before = folder / "float.onnx"
    with _without_warnings():
        if prepared:
            quant_pre_process(str(before), str(folder / "before.onnx"), skip_symbolic_shape=True)
            before = folder / "before.onnx"
        quantize_static(before, folder / "theirs.onnx", _Calibration(), **settings)
    return folder / "theirs.onnx"


@contextmanager
def _without_warnings() -> Iterator[None]:
    """onnxruntime warns of what it does by itself. Other tests of this process read their warnings."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def model_of(path: Path, **said: object) -> ForeignModel:
    """Describe a file as a user would."""
    lines = {"size": (SIDE, SIDE), "channels": 3, "mean": MEAN, "std": STD, "fit": "stretch"} | said
    return described(path, Description.model_validate(lines))


def read(path: Path, **said: object) -> QuantisedNetwork:
    """Read it as a build does."""
    return read_quantised(model_of(path, **said), True, lambda _: None)


def as_it_came(path: Path, fed: NDArray[Any], settings: SessionSettings | None = None) -> Floats:
    """Run the file in onnxruntime, one image at a time; by default as is exact on this processor."""
    session = open_session(path, settings=settings)
    (source,) = session.get_inputs()
    found = [session.run(None, {source.name: fed[i : i + 1]})[0] for i in range(len(fed))]
    return np.concatenate(found).reshape(len(fed), -1)


def written_anew(
    network: QuantisedNetwork, images: NDArray[np.uint8], scheme: Scheme = Scheme.ASYM
) -> Floats:
    """Run what the network is compiled from in onnxruntime."""
    model = network.quantised(scheme).model
    return np.asarray(open_session(model.SerializeToString()).run(["logits"], {"image": images})[0])


def in_integers(network: QuantisedNetwork, images: NDArray[np.uint8], scratch: Path) -> Floats:
    """Run it as the integer engine computes."""
    onnx.save(network.quantised(Scheme.ASYM).model, scratch / "model.int8.onnx")
    return oracle.run(import_graph(scratch / "model.int8.onnx"), images)


def decibels(expected: Floats, found: Floats) -> float:
    """Signal over difference; 200 where there is none."""
    signal = np.square(expected - expected.mean(axis=0), dtype=np.float64).sum()
    noise = np.square(expected - found, dtype=np.float64).sum()
    return float(min(200.0, 10 * np.log10(signal / max(noise, 1e-300))))


def model(
    nodes: list[onnx.NodeProto],
    constants: Mapping[str, NDArray[Any]],
    channels: int = 3,
    output: int = TensorProto.FLOAT,
    opset: int = 17,
    contrib: bool = False,
    input_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A graph from `input`, NCHW, to `output`, [N, anything]."""
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "theirs",
        [value("input", input_type, ["N", channels, SIDE, SIDE])],
        [value("output", output, ["N", None])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    domains = [
        helper.make_opsetid("", opset),
        *([helper.make_opsetid("com.microsoft", 1)] if contrib else []),
    ]
    return helper.make_model(graph, opset_imports=domains, ir_version=8 if opset <= 20 else 10)
