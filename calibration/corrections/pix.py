"""pix: pixels quantised without loss under w8a8_sym too; see `calibration.fold_pixels`."""

from typing import ClassVar

from calibration.correction import PixelReading
from calibration.scheme import Scheme


class LosslessPixels(PixelReading):
    """Pixel - 128 is int8 at scale 1; the border is padded before, in float."""

    word = "pix"
    summary = "quantise the pixels without loss"
    pointless: ClassVar = {Scheme.ASYM: "always takes pixels without loss"}
