"""What report.json says of a network that classifies pixels: FP32 and INT8 on the same images."""

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.model.paired_figures import PairedScore
from pipeline.report.record import Base64, Record
from targets.base import Origin


class PixelClass(Record):
    """One class of pixels: how many have it, and intersection over union of what each network says."""

    label: NonNegativeInt  # index into Subject.classes
    pixels: NonNegativeInt
    fp32_iou: float | None  # None: no pixel has it, and none is said to
    int8_iou: float | None


class PixelPicture(Record):
    """An image that INT8 lost on, with the classes of its pixels in colours."""

    name: str
    fp32: float  # share of its pixels that are right
    int8: float
    image_png: Base64
    reference_png: Base64  # the labels; without any, the classes that FP32 gives
    int8_png: Base64


class PixelAccuracy(Record):
    """FP32 and INT8 on the pixels of the same images. The unit is the image: its pixels go together.

    Without labelled pixels the reference is what FP32 says. INT8's share of right pixels is then the share
    that has FP32's class, and its drop bounds the drop of any accuracy over pixels.
    """

    fp32_origin: Origin
    int8_origin: Origin
    labelled: bool
    size: tuple[PositiveInt, PositiveInt]  # height and width of the output
    pixels: PairedScore  # share of right pixels
    iou: PairedScore  # intersection over union, mean of the classes that an image has
    fp32_mean_iou: float  # of all images together, mean of the classes that are there
    int8_mean_iou: float
    agreement: float  # mean over images of the share of pixels with the same class, right or wrong
    sqnr_db: float | None  # 10 log10(sum fp32^2 / sum (fp32 - int8)^2) over all logits; None: identical
    per_class: tuple[PixelClass, ...]
    worst: tuple[PixelPicture, ...]  # the largest drop of right pixels first
    int8_scores: tuple[float, ...]  # share of right pixels of each image, in evaluation order
    pixels_above_guess: PairedScore | None = None
    """FP32 in INT8's fields, always answering the class of most pixels in FP32's. None: no masks."""
    iou_above_guess: PairedScore | None = None

    @property
    def rates(self) -> tuple[tuple[str, PairedScore], ...]:
        """Return what a limit on the drop holds for, each with its name."""
        if not self.labelled:
            return (("pixels with FP32's class", self.pixels),)
        return (("right pixels", self.pixels), ("mean IoU of an image", self.iou))
