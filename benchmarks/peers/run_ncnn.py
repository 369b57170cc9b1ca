"""ncnn, statically quantised: converted by pnnx, with scales as ncnn2table and ncnn2int8 set them.

ncnn's wheel has no quantiser. It takes float weights with scales behind them, though, and rounds them when it
loads; the few rules of ncnn2int8 are below. Scales are of the largest absolute values that the calibration
images bring.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import serve

CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
_SCALE_TERM, _REQUANTISED = "8", 100
"""The parameter that tells that a layer has scales, and the number added if its results stay int8."""


@dataclass
class NcnnLayer:
    """A line of a .param file: which blobs it reads and writes, and its parameters."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: dict[str, str]
    weights: tuple[np.ndarray, np.ndarray] | None = None
    """[output channels, ...], and biases."""

    @classmethod
    def parse(cls, line: str) -> "NcnnLayer":
        """Read one line."""
        kind, name, inputs, outputs, *rest = line.split()
        first, second = int(inputs), int(inputs) + int(outputs)
        parameters = dict(word.split("=", 1) for word in rest[second:])
        return cls(kind, name, rest[:first], rest[first:second], parameters)

    def line(self) -> str:
        """Write it."""
        words = [f"{key}={value}" for key, value in self.parameters.items()]
        counts = str(len(self.inputs)), str(len(self.outputs))
        return " ".join([self.kind, self.name, *counts, *self.inputs, *self.outputs, *words])

    def read_weights(self, numbers: np.ndarray, at: int) -> int:
        """Take them from a .bin file of float32 at an offset; returns where the next layer's begin."""
        size = {"InnerProduct": "2"}.get(self.kind, "6" if self.kind in CONVOLUTIONS else "")
        if not size:
            return at
        count, channels, bias = int(self.parameters[size]), int(self.parameters["0"]), at + 1
        has_bias = self.parameters.get("1" if self.kind == "InnerProduct" else "5") == "1"
        if numbers[at : at + 1].view(np.uint32)[0] or not has_bias:
            raise ValueError(f"{self.name}: its weights are not float32 with a bias")
        bias += count
        self.weights = numbers[at + 1 : bias].reshape(channels, -1), numbers[bias : bias + channels]
        return bias + channels


def build(folder: Path) -> None:
    """Convert network.onnx and write network.int8.ncnn.param and .bin."""
    images = np.load(folder / "calibration.npy")
    shape = ",".join(map(str, images[:1].shape))
    pnnx = Path(sys.executable).parent / "pnnx"
    subprocess.run([pnnx, "network.onnx", f"inputshape=[{shape}]", "fp16=0"], cwd=folder, check=True)
    converted = folder / "network.ncnn.param"
    head, count, *lines = converted.read_text().splitlines()
    layers = [_without_slices(NcnnLayer.parse(line)) for line in lines]
    numbers, at = np.fromfile(folder / "network.ncnn.bin", np.float32), 0
    for layer in layers:
        at = layer.read_weights(numbers, at)
    converted.write_text(_text(head, count, layers))
    weighted = [layer for layer in layers if layer.weights]
    largest = _largest(folder, images, [layer.inputs[0] for layer in weighted])
    scales = {layer.name: 127 / largest[layer.inputs[0]] for layer in weighted}
    followers = {layer.name: follower for layer, follower in _followers(layers)}
    for layer in weighted:
        # 1 for depthwise layers, as ncnn2int8 writes it
        term = (1 if layer.kind == "ConvolutionDepthWise" else 2) + _REQUANTISED * (layer.name in followers)
        layer.parameters[_SCALE_TERM] = str(term)
    (folder / "network.int8.ncnn.param").write_text(_text(head, count, layers))
    with (folder / "network.int8.ncnn.bin").open("wb") as file:
        for layer in weighted:
            then = [scales[followers[layer.name].name]] if layer.name in followers else []
            for part in _stored(layer, [scales[layer.name], *then]):
                file.write(part.astype(np.float32).tobytes())


def _text(head: str, count: str, layers: Sequence[NcnnLayer]) -> str:
    return "\n".join([head, count, *(layer.line() for layer in layers), ""])


def _without_slices(layer: NcnnLayer) -> NcnnLayer:
    """ncnn cannot take every second row and column, as a shortcut of ResNet-20 does; its pooling can."""
    if layer.kind != "Tensor.slice":
        return layer
    every_second = {"0": "0", "1": "1", "2": "2", "5": "1"}  # the maximum of 1 x 1 with stride 2, no padding
    return NcnnLayer("Pooling", layer.name, layer.inputs, layer.outputs, every_second)


def _stored(layer: NcnnLayer, scales: Sequence[float]) -> Iterator[np.ndarray]:
    """A tag that says float32, weights, biases and scales, in the order in which ncnn reads them."""
    if layer.weights is None:
        raise ValueError(f"{layer.name} has no weights")
    weights, bias = layer.weights
    yield np.zeros(1)
    yield weights
    yield bias
    yield 127 / np.maximum(abs(weights).max(axis=1), 1e-20)
    yield np.array(scales)


def _largest(folder: Path, images: np.ndarray, blobs: Sequence[str]) -> dict[str, float]:
    """The largest absolute values of blobs in the float network."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_packing_layout = net.opt.use_fp16_storage = net.opt.use_bf16_storage = False
    net.opt.lightmode = False  # else what is read again is gone
    net.load_param(str(folder / "network.ncnn.param"))
    net.load_model(str(folder / "network.ncnn.bin"))
    found = dict.fromkeys(blobs, 0.0)
    for image in images:
        run = net.create_extractor()
        run.input("in0", ncnn.Mat(image))
        for blob in found:
            found[blob] = max(found[blob], float(abs(np.array(run.extract(blob)[1])).max()))
    return found


def _followers(layers: Sequence[NcnnLayer]) -> Iterator[tuple[NcnnLayer, NcnnLayer]]:
    """Convolutions whose results only convolutions read, and the first that does: they stay int8."""
    readers: dict[str, list[NcnnLayer]] = {}
    for layer in layers:
        for blob in layer.inputs:
            readers.setdefault(blob, []).append(layer)
    for layer in layers:
        if layer.kind not in CONVOLUTIONS:
            continue
        (next_one,) = readers[layer.outputs[0]]
        behind = [next_one]
        if next_one.kind == "Split":
            behind = [reader for blob in next_one.outputs for reader in readers[blob]]
        if all(reader.kind in CONVOLUTIONS for reader in behind):
            yield layer, behind[0]


def load(folder: Path, threads: int) -> serve.Infer:
    """Read the quantised network."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = threads
    net.load_param(str(folder / "network.int8.ncnn.param"))
    net.load_model(str(folder / "network.int8.ncnn.bin"))

    def infer(x: np.ndarray) -> np.ndarray:
        run = net.create_extractor()
        run.input("in0", ncnn.Mat(x[0]))
        return np.array(run.extract("out0")[1])[None]

    return infer


if __name__ == "__main__":
    serve.main(build, load, ("ncnn",))
