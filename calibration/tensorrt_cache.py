"""Ranges as a TensorRT calibration cache, for float ONNX that TensorRT (8 to 10) quantises by itself."""

import struct
from pathlib import Path

import numpy as np

from calibration.errors import RangesError
from calibration.ranges import Ranges
from calibration.recipe import QuantRecipe, Scheme

CALIBRATOR = "EntropyCalibration2"


def save_calibration_cache(ranges: Ranges, path: Path, tensorrt: str = "8502") -> None:
    """Write `ranges` for an IInt8EntropyCalibrator2's read_calibration_cache.

    The first line names TensorRT's version (major, minor in one digit, patch in two) and the calibrator, then
    each line a tensor of the float ONNX and its scale max(|low|, |high|) / 127 as the hexadecimal digits of a
    big-endian float32. Tensors in FP16 have none. Raises RangesError for ranges of a scheme that is not
    symmetric.
    """
    if QuantRecipe.parse(ranges.recipe).scheme is not Scheme.SYM:
        raise RangesError(
            f"The ranges are for {ranges.recipe}; TensorRT is symmetric. Calibrate with {Scheme.SYM}."
        )
    lines = [f"TRT-{tensorrt}-{CALIBRATOR}"]
    for name, found in ranges.tensors.items():
        if name in ranges.wide:
            continue
        scale = np.float32(max(-found.low, found.high) / 127)
        lines.append(f"{name}: {struct.pack('>f', scale).hex()}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
