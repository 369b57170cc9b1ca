"""The schema of report.json: everything a build claims, each figure with where it was measured.

A figure that was not measured is a `NotMeasured` with its reason: never null, never zero. Units are in names.
"""

from pipeline.report.model.accuracy import (
    Accuracy,
    ClassAccuracy,
    CorruptedAccuracy,
    ExtraLoss,
    NegativeFlip,
    PairedRate,
    Robustness,
)
from pipeline.report.model.figures import Base64, Interval, NotMeasured, Sha256, Verdict
from pipeline.report.model.layers import (
    Coverage,
    FloatLayer,
    LayerSensitivity,
    LayerTimes,
    MixedPrecision,
    TimedLayer,
)
from pipeline.report.model.performance import (
    Instructions,
    Latency,
    MachineState,
    MeasuredLatency,
    MeasuredMemory,
    PeakMemory,
    Quantile,
    Sizes,
    SpeedRatio,
)
from pipeline.report.model.pixels import PairedScore, PixelAccuracy, PixelClass, PixelPicture
from pipeline.report.model.report import (
    AnyAccuracy,
    Gate,
    Machine,
    Recommendation,
    Report,
    SkippedImage,
    Subject,
    ToolchainCheck,
    overall,
)

__all__ = [
    "Accuracy",
    "AnyAccuracy",
    "Base64",
    "ClassAccuracy",
    "CorruptedAccuracy",
    "Coverage",
    "ExtraLoss",
    "FloatLayer",
    "Gate",
    "Instructions",
    "Interval",
    "Latency",
    "LayerSensitivity",
    "LayerTimes",
    "Machine",
    "MachineState",
    "MeasuredLatency",
    "MeasuredMemory",
    "MixedPrecision",
    "NegativeFlip",
    "NotMeasured",
    "PairedRate",
    "PairedScore",
    "PeakMemory",
    "PixelAccuracy",
    "PixelClass",
    "PixelPicture",
    "Quantile",
    "Recommendation",
    "Report",
    "Robustness",
    "Sha256",
    "Sizes",
    "SkippedImage",
    "SpeedRatio",
    "Subject",
    "TimedLayer",
    "ToolchainCheck",
    "Verdict",
    "overall",
]
