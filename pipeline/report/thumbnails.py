"""Small PNG pictures of images a report talks about."""

import base64
from typing import cast

import numpy as np
from numpy.typing import NDArray

LONGEST_SIDE = 64


def shrink(image: NDArray[np.uint8], longest: int = LONGEST_SIDE) -> NDArray[np.uint8]:
    """Return the image [H, W, C] with its longer side at most `longest` pixels, in the same proportions."""
    height, width = image.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return image.copy()
    size = max(1, round(width * factor)), max(1, round(height * factor))
    import cv2

    small = cast("NDArray[np.uint8]", cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    return small.reshape(size[1], size[0], image.shape[2])


def png_base64(image: NDArray[np.uint8]) -> str:
    """Return the image [H, W, C], RGB or one gray channel, as the base64 text of a PNG."""
    in_opencv_order = image[:, :, ::-1] if image.shape[2] == 3 else image
    import cv2

    _, encoded = cv2.imencode(".png", np.ascontiguousarray(in_opencv_order), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return base64.b64encode(encoded.tobytes()).decode("ascii")
