"""Write the golden pictures, and golden.json with the sha256 of the bytes each one must become.

    .venv/bin/python -m tests.pipeline.golden.golden_pictures

What it writes is committed. A change of golden.json means that networks trained before see other pixels.
"""

import hashlib
import json
import struct
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from targets.runtime.preprocess import FITS, Preprocessing, decode

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "pictures"
GOLDEN = HERE / "golden.json"
TURNED_RIGHT = 6
"""The EXIF orientation of a camera held upright: what is stored has to be turned clockwise."""


def case(fit: str, channels: int) -> Preprocessing:
    """Return the preprocessing of one case: an oblong target, so that no side is taken for the other."""
    border = (114, 64, 7)[:channels] if fit == "letterbox" else (0,)
    return Preprocessing(height=24, width=20, channels=channels, fit=fit, resize=26, border=border)


CASES = {f"{fit} {channels}": case(fit, channels) for fit in FITS for channels in (1, 3)}


def shapes(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Draw gradients with a bright corner, so that a turn, a mirror or a swap of channels shows."""
    y, x = np.mgrid[0:height, 0:width].astype(np.int64)
    planes = (x * 255 // width, y * 255 // height, (x * 7 + y * 5) % 256)
    image = np.stack(planes[:channels], axis=2).astype(np.uint8)
    image[: height // 3, : width // 4] = 255
    return image


def encoded(image: NDArray[np.uint8], suffix: str) -> bytes:
    """Encode RGB or gray."""
    in_opencv_order = np.ascontiguousarray(image[:, :, ::-1]) if image.shape[2] == 3 else image
    return cv2.imencode(suffix, in_opencv_order)[1].tobytes()


def oriented(jpeg: bytes, orientation: int) -> bytes:
    """Put an EXIF segment with an orientation behind the JPEG's start marker (Exif 2.3, section 4.6)."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    tiff = b"MM" + struct.pack(">HIH", 42, 8, 1) + entry + struct.pack(">I", 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def pictures() -> dict[str, bytes]:
    """Return the encoded pictures by file name."""
    return {
        "gray_odd.png": encoded(shapes(19, 23, 1), ".png"),
        "gray_large.jpg": encoded(shapes(50, 61, 1), ".jpg"),
        "rgb_small.png": encoded(shapes(7, 5, 3), ".png"),
        "rgb_exact.png": encoded(shapes(24, 20, 3), ".png"),
        "rgb_wide.png": encoded(shapes(33, 97, 3), ".png"),
        "rgb_large.jpg": encoded(shapes(90, 71, 3), ".jpg"),
        "rgb_turned.jpg": oriented(encoded(shapes(31, 44, 3), ".jpg"), TURNED_RIGHT),
    }


def main() -> None:
    """Write everything."""
    PICTURES.mkdir(exist_ok=True)
    golden: dict[str, dict[str, str]] = {name: {} for name in CASES}
    for picture, content in pictures().items():
        (PICTURES / picture).write_bytes(content)
        for name, preprocessing in CASES.items():
            pixels = preprocessing(decode(content, preprocessing.channels))
            golden[name][picture] = hashlib.sha256(pixels.tobytes()).hexdigest()
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
