"""Requests for edgec-serve with a camera's frame, with all that its memory has."""

import json
import math

import numpy as np

from targets.runtime.embedded_network import EmbeddedFrame


def parameters_of(frame: EmbeddedFrame) -> dict[str, object]:
    """Return what a request says about a frame."""
    height, width = frame.planes[0].shape[:2]
    told: dict[str, object] = {"pixels": frame.pixels, "height": height, "width": width}
    if frame.matrix:
        told |= {"matrix": frame.matrix, "range": frame.range}
    strides = [plane.strides[0] for plane in frame.planes]
    rows = [math.prod(plane.shape[1:]) for plane in frame.planes]
    if strides[0] != rows[0]:
        told["stride"] = strides[0]
    if strides[1:] != rows[1:]:
        told["chroma_stride"] = strides[1]
    crop = dict(zip(("top", "left", "crop_height", "crop_width"), frame.crop, strict=True))
    return {**told, **(crop if any(frame.crop) else {})}


def bytes_of(frame: EmbeddedFrame) -> bytes:
    """Return the planes one behind the other, each row with what is behind it."""
    shapes = [(len(plane), plane.strides[0]) for plane in frame.planes]
    memory = [
        np.lib.stride_tricks.as_strided(plane, shape, (shape[1], 1))
        for plane, shape in zip(frame.planes, shapes, strict=True)
    ]
    return b"".join(one.tobytes() for one in memory)


def request_of(frame: EmbeddedFrame) -> tuple[bytes, dict[str, str]]:
    """Return body and headers that ask for a frame's logits, in binary."""
    data = bytes_of(frame)
    size = {"binary_data_size": len(data)}
    form = {"name": "frame", "datatype": "UINT8", "shape": [len(data)], "parameters": size}
    asked = {"inputs": [form], "parameters": {**parameters_of(frame), "binary_data_output": True}}
    head = json.dumps(asked).encode()
    return head + data, {"Inference-Header-Content-Length": str(len(head))}
