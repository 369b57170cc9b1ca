"""Folds the normalisation into the first convolution, so that pixels are its quantised input, without loss.

Under w8a8_asym the convolution reads uint8 pixels whose zero point is each channel's rounded mean, and pads
with it. Under w8a8_sym with the correction `pix` it reads pixel - 128, which is int8 at scale 1 and zero
point 0. The convolution's own zero padding would then mean grey level 128, so the padding is made before, in
float, where zero is the rounded mean.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import ModelError
from calibration.onnx_graph import IMAGE, OnnxGraph, attribute
from calibration.scheme import Scheme

NHWC_TO_NCHW = [0, 3, 1, 2]
CHAINS: tuple[tuple[str, ...], ...] = (
    ("Cast", "Sub", "Mul", "Transpose", "Conv"),
    ("Cast", "Transpose", "Sub", "Mul", "Conv"),
)
"""The operators of a normalisation, and the convolution behind it."""


@dataclass(frozen=True)
class PixelInput:
    """image -> Cast -> Sub(mean) -> Mul(scale) -> Conv, with a Transpose to NCHW after Cast or before Conv.

    `mean` and `scale` are float64 [C], in grey levels and their reciprocal: normalised = (pixel - mean) *
    scale.
    """

    scheme: Scheme
    nodes: tuple[int, ...]
    normalized: str
    conv: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    pads: tuple[int, int, int, int]

    @property
    def zero_point(self) -> NDArray[np.uint8]:
        """uint8 [C]: the grey level nearest to each channel's mean; it stands for the float zero padding."""
        return np.clip(np.rint(self.mean), 0, 255).astype(np.uint8)

    @property
    def offset(self) -> NDArray[np.float64]:
        """float64 [C]: the convolution's input is pixel - offset."""
        return (
            self.zero_point.astype(np.float64)
            if self.scheme is Scheme.ASYM
            else np.full(len(self.mean), 128.0)
        )

    def fold(
        self, weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight [K, C, R, S] and bias [K] for the input pixel - offset, normalisation folded in.

        w * (p - mean) * scale = (w * scale) * (p - offset) + (w * scale) * (offset - mean). Exact where the
        kernel lies inside the image; on the padded border the padded value is off by (zero_point - mean), at
        most half a grey level.
        """
        folded = weight.astype(np.float64) * self.scale[None, :, None, None]
        rest = (folded * (self.offset - self.mean)[None, :, None, None]).sum(axis=(1, 2, 3))
        return folded.astype(np.float32), (bias + rest).astype(np.float32)

    def convolution_input(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [n, C, H, W], padded: what the folded convolution reads for images [n, H, W, C]."""
        top, left, bottom, right = self.pads
        centred = images.astype(np.float32) - self.zero_point.astype(np.float32)
        padded = np.pad(centred, ((0, 0), (top, bottom), (left, right), (0, 0)))
        shifted = padded + (self.zero_point - self.offset).astype(np.float32)
        return np.ascontiguousarray(shifted.transpose(0, 3, 1, 2))


def find_pixel_input(graph: OnnxGraph, scheme: Scheme) -> PixelInput:
    """Find the normalisation chain behind `image`. Raises ModelError, saying where the graph differs."""
    graph.image()
    *chain, conv = _nodes(graph)
    mean_node, scale_node = (
        next(graph.nodes[i] for i in chain if graph.nodes[i].op_type == op) for op in ("Sub", "Mul")
    )
    constants = [graph.constant(node.input[1]) for node in (mean_node, scale_node)]
    turn = next(graph.nodes[i] for i in chain if graph.nodes[i].op_type == "Transpose")
    channels = graph.constant(graph.nodes[conv].input[1])
    if channels is None or any(c is None or c.size not in (1, channels.shape[1]) for c in constants):
        raise ModelError(
            "Sub and Mul in front of the first convolution need constants with one value a channel."
        )
    if list(attribute(turn, "perm", [])) != NHWC_TO_NCHW:
        raise ModelError(
            f"The Transpose in front of the first convolution has to be {NHWC_TO_NCHW} (NHWC to NCHW)."
        )
    node = graph.nodes[conv]
    if attribute(node, "group", 1) != 1 or attribute(node, "auto_pad", b"NOTSET") != b"NOTSET":
        raise ModelError(
            "The first convolution is grouped or pads by itself (auto_pad); folding needs an ordinary one."
        )
    mean, scale = (np.broadcast_to(np.asarray(c, np.float64).ravel(), channels.shape[1]) for c in constants)
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    return PixelInput(scheme, tuple(chain), node.input[0], conv, mean, scale, (top, left, bottom, right))


def _nodes(graph: OnnxGraph) -> list[int]:
    """Return the nodes of one of CHAINS behind `image`. Raises ModelError."""
    tensor, possible = IMAGE, CHAINS
    nodes: list[int] = []
    while len(nodes) < len(possible[0]):
        consumers = graph.consumers(tensor)
        node = graph.nodes[consumers[0].node] if len(consumers) == 1 else None
        if node is not None and node.input[0] == tensor:
            possible = tuple(chain for chain in possible if chain[len(nodes)] == node.op_type)
        if node is None or node.input[0] != tensor or not possible:
            found = ", ".join(graph.nodes[e.node].op_type for e in consumers) or "nothing"
            raise ModelError(
                f"Behind '{IMAGE}', {tensor!r} feeds {found}; folding the normalisation into the first "
                f"convolution needs {' or '.join(', '.join(chain) for chain in CHAINS)}, one after the other."
            )
        nodes.append(consumers[0].node)
        tensor = node.output[0]
    return nodes
