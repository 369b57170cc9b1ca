"""Sliding windows: ONNX attributes to geometry."""

from typing import Any

from targets.errors import EngineError
from targets.tvm.operators.sliding_window import SlidingWindow

_LARGEST_SIDE = 1 << 14


def window(
    node: str, attributes: dict[str, Any], kernel: tuple[int, int], height: int, width: int
) -> tuple[SlidingWindow, int, int]:
    """Return the window of a Conv or pooling node and the output's height and width."""
    stride, dilation = (_pair(node, attributes, key, (1, 1)) for key in ("strides", "dilations"))
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    begin, end = _pads(node, attributes, reach, stride, (height, width))
    size = []
    for i, length in enumerate((height, width)):
        room = length + begin[i] + end[i] - reach[i]
        count = room // stride[i] + 1
        if attributes.get("ceil_mode", 0):
            count = -(-room // stride[i]) + 1
            count -= (count - 1) * stride[i] >= length + begin[i]  # a window has to begin inside
        if room < 0 or not 0 < count <= _LARGEST_SIDE or begin[i] >= reach[i] or end[i] >= reach[i]:
            raise EngineError(
                f"{node}: a kernel of {kernel} with padding {begin}, {end} does not fit an input of "
                f"{height} x {width}."
            )
        size.append(count)
    return SlidingWindow(kernel, stride, begin, dilation), size[0], size[1]


def _pair(node: str, attributes: dict[str, Any], key: str, default: tuple[int, int]) -> tuple[int, int]:
    values = tuple(attributes.get(key, default))
    if len(values) != 2 or not all(0 < v <= _LARGEST_SIDE for v in values):
        raise EngineError(f"{node}: {key} is {list(values)}; two positive numbers are needed.")
    return values[0], values[1]


def _pads(
    node: str,
    attributes: dict[str, Any],
    reach: tuple[int, ...],
    stride: tuple[int, int],
    size: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int]]:
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        total = [max(0, (-(-n // s) - 1) * s + r - n) for n, s, r in zip(size, stride, reach, strict=True)]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        first, last = (less, more) if automatic == b"SAME_UPPER" else (more, less)
        return (first[0], first[1]), (last[0], last[1])
    pads = tuple(attributes.get("pads", (0, 0, 0, 0)))
    if automatic == b"VALID":
        pads = (0, 0, 0, 0)
    if len(pads) != 4 or any(p < 0 for p in pads):
        raise EngineError(f"{node}: pads is {list(pads)}; four numbers from 0 on are needed.")
    return (pads[0], pads[1]), (pads[2], pads[3])
