"""The network's accuracy in FP8 and in INT8, on the same images."""

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.model.certainty import Interval
from pipeline.report.record import Record


class Fp8Accuracy(Record):
    """FP8 against FP32 and against INT8, on some evaluation images; computed by onnxruntime, unoptimised."""

    images: PositiveInt
    fp32_correct: NonNegativeInt
    int8_correct: NonNegativeInt
    fp8_correct: NonNegativeInt
    fp8_drop: float  # percentage points of top-1 from FP32 to FP8
    fp8_drop_interval: Interval
    int8_drop: float  # the same to INT8
    int8_drop_interval: Interval
    int8_to_fp8: float  # percentage points of top-1 from INT8 to FP8; negative where FP8 is better
    int8_to_fp8_interval: Interval
