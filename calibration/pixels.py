"""The normalisation in front of the first convolution, folded in: raw pixels are the quantised input."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calibration.errors import ModelError
from calibration.graph import IMAGE, Graph, attribute

NHWC_TO_NCHW = [0, 3, 1, 2]


@dataclass(frozen=True)
class PixelInput:
    """image -> Cast -> Sub(mean) -> Mul(scale) -> Transpose(NCHW) -> Conv, as found in a graph.

    `mean` and `scale` are float64 [C], in grey levels and their reciprocal: normalised = (pixel - mean) *
    scale.
    """

    nodes: tuple[int, ...]
    normalized: str
    conv: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @property
    def zero_point(self) -> NDArray[np.uint8]:
        """uint8 [C]: the grey level nearest to each channel's mean; also what the convolution pads with."""
        return np.clip(np.rint(self.mean), 0, 255).astype(np.uint8)

    def fold(
        self, weight: NDArray[np.float32], bias: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return weight [K, C, R, S] and bias [K] for the input pixel - zero_point, normalisation folded in.

        w * (p - mean) * scale = (w * scale) * (p - zp) + (w * scale) * (zp - mean). Exact where the kernel
        lies inside the image; on the zero-padded border the padded value is off by (zp - mean), at most half
        a grey level.
        """
        folded = weight.astype(np.float64) * self.scale[None, :, None, None]
        rest = (folded * (self.zero_point - self.mean)[None, :, None, None]).sum(axis=(1, 2, 3))
        return folded.astype(np.float32), (bias + rest).astype(np.float32)


def find_pixel_input(graph: Graph) -> PixelInput:
    """Find the normalisation chain behind `image`. Raises ModelError, saying where the graph differs."""
    graph.image()
    tensor, nodes, constants = IMAGE, [], []
    for op in ("Cast", "Sub", "Mul", "Transpose", "Conv"):
        consumers = graph.consumers(tensor)
        node = graph.nodes[consumers[0].node] if len(consumers) == 1 else None
        if node is None or node.op_type != op or node.input[0] != tensor:
            found = ", ".join(graph.nodes[e.node].op_type for e in consumers) or "nothing"
            raise ModelError(
                f"Behind '{IMAGE}', {tensor!r} feeds {found}; folding the normalisation into the first "
                "convolution "
                f"needs Cast, Sub, Mul, Transpose, Conv, one after the other."
            )
        nodes.append(consumers[0].node)
        if op in ("Sub", "Mul"):
            constants.append(graph.constant(node.input[1]))
        tensor = node.output[0]
    *chain, conv = nodes
    channels = graph.constant(graph.nodes[conv].input[1])
    if channels is None or any(c is None or c.size not in (1, channels.shape[1]) for c in constants):
        raise ModelError(
            "Sub and Mul in front of the first convolution need constants with one value a channel."
        )
    if list(attribute(graph.nodes[chain[-1]], "perm", [])) != NHWC_TO_NCHW:
        raise ModelError(
            f"The Transpose in front of the first convolution has to be {NHWC_TO_NCHW} (NHWC to NCHW)."
        )
    if attribute(graph.nodes[conv], "group", 1) != 1:
        raise ModelError("The first convolution is grouped; folding the normalisation needs an ordinary one.")
    mean, scale = (np.broadcast_to(np.asarray(c, np.float64).ravel(), channels.shape[1]) for c in constants)
    return PixelInput(tuple(chain), graph.nodes[conv].input[0], conv, mean, scale)
