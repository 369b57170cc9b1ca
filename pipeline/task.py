"""What a network says of an image, and which settings that leaves without a meaning."""

from enum import StrEnum

from pipeline.config import BuildConfig
from pipeline.errors import UsageError


class Task(StrEnum):
    """What the logits are of: images [N, classes], or their pixels [N, classes, height, width]."""

    CLASSIFY = "classify"
    SEGMENT = "segment"

    def check(self, config: BuildConfig) -> None:
        """Raise UsageError naming a setting that only means something for another task."""
        if self is Task.CLASSIFY:
            return
        wanted = {
            "calibration.max_drop": config.calibration.max_drop,
            "calibration.quantized": config.calibration.quantized,
            "validation.min_ratio": config.validation.min_ratio,
            "validation.min_top1": config.validation.min_top1,
            "validation.robustness": config.validation.robustness,
        }
        for name, value in wanted.items():
            if value:
                raise UsageError(
                    f"{name} counts images that are classified rightly; {config.model} tells the class of"
                    " each pixel. Leave it out: validation.max_drop is the limit for segmentation."
                )
