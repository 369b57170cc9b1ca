"""Accuracy of either kind of network: of images, or of pixels."""

from typing import Annotated

from pydantic import Discriminator, Tag

from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.pixel_accuracy import PixelAccuracy


def _kind(accuracy: object) -> str:
    pixels = "pixels" in accuracy if isinstance(accuracy, dict) else isinstance(accuracy, PixelAccuracy)
    return "of pixels" if pixels else "of images"


AnyAccuracy = Annotated[
    Annotated[Accuracy, Tag("of images")] | Annotated[PixelAccuracy, Tag("of pixels")], Discriminator(_kind)
]
