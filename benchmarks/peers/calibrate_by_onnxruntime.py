"""Quantise by onnxruntime's own calibrators, which live in edgec's environment."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from calibration.prepare_float import Images

LARGEST_BATCH = 32
METHODS = {
    "onnxruntime min-max symmetric": (CalibrationMethod.MinMax, True),
    "onnxruntime entropy symmetric": (CalibrationMethod.Entropy, True),
    "onnxruntime percentile symmetric": (CalibrationMethod.Percentile, True),
    "onnxruntime min-max asymmetric": (CalibrationMethod.MinMax, False),
    "onnxruntime entropy asymmetric": (CalibrationMethod.Entropy, False),
    "onnxruntime percentile asymmetric": (CalibrationMethod.Percentile, False),
}


class FedBatches(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    """Feeds all images in batches of one size: onnxruntime's histograms refuse a smaller last one."""

    def __init__(self, images: Images) -> None:
        every = np.concatenate(list(images()))
        size = max(size for size in range(1, LARGEST_BATCH + 1) if len(every) % size == 0)
        self._batches = iter(np.split(every, len(every) // size))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


def quantize_by_onnxruntime(
    model: Path, images: Images, method: CalibrationMethod, symmetric: bool, output: Path
) -> None:
    """Quantise as onnxruntime's documentation says: prepared first, Q/DQ, int8 weights per channel."""
    prepared = output.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(output),
        FedBatches(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        calibrate_method=method,
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
    )
