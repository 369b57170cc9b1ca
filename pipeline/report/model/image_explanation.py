"""What `edgec explain` found about one picture: its JSON form.

Margins are differences of two logits: of the class that FP32 says, and of the strongest other class in INT8.
So INT8 says another class where its margin is below 0.
"""

from enum import StrEnum

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.record import Base64, Record

SCHEMA_VERSION = 1


class Cause(StrEnum):
    """Why INT8 says what it says."""

    SAME_CLASS = "the same class"
    CLOSE_CALL = "a close call"
    COARSE_BUILD = "a build that changes most pictures as much"
    UNUSUAL_CHANGE = "an unusual change"
    NOT_WEIGHED = "another class"  # without labelled images nothing says what is usual

    @property
    def exit_code(self) -> int:
        """Return 0 for the same class, 1 for another."""
        return 0 if self is Cause.SAME_CLASS else 1


class ClassMargin(Record):
    """What one form of the network says."""

    answer: str
    margin: float  # logit of `first` minus that of `second`
    first_probability: float
    second_probability: float


class UsualMargins(Record):
    """The same margins on labelled images of the two classes."""

    images: PositiveInt
    smaller_share: float  # share of the images whose margin in FP32 is no larger than this picture's
    largest_usual_change: float  # the 95th percentile of the change from FP32 to INT8, up or down
    as_changed_share: float  # share of the images whose margin changed at least as much


class LayerEffect(Record):
    """INT8's margin with one layer in float; None where that could not be computed."""

    layer: str
    operator: str
    alone: float | None  # this layer in float, its input unrounded
    up_to_here: float | None  # this layer and all in front of it in float


class ClippedTensor(Record):
    """Values of this picture that lie outside the range of their 8 bits."""

    tensor: str
    share: float
    usual_share: float  # on a few other images


class NearImage(Record):
    """A labelled image, and how alike FP32's features in front of the last layer are."""

    name: str
    label: str
    cosine: float
    thumbnail_png: Base64


class TriedBits(Record):
    """The network with more bits, on this picture."""

    change: str
    answer: str
    margin: float


class ImageExplanation(Record):
    """Why FP32 and INT8 say different classes of a picture, or what they agree by."""

    schema_version: int = SCHEMA_VERSION
    image: str
    build: str
    recipe: str
    label: str | None
    first: str  # what FP32 says
    second: str  # the strongest other class in INT8
    cause: Cause
    summary: str
    advice: str
    notes: tuple[str, ...]
    fp32: ClassMargin
    int8: ClassMargin
    usual: UsualMargins | None
    layers: tuple[LayerEffect, ...]
    clipped: tuple[ClippedTensor, ...]
    near: tuple[NearImage, ...]
    near_votes: NonNegativeInt  # of the nearest images, so many are of `first`
    near_counted: NonNegativeInt
    more_bits: tuple[TriedBits, ...]
    thumbnail_png: Base64
    processor: str

    @property
    def flipped(self) -> bool:
        """Whether INT8 says another class than FP32."""
        return self.cause is not Cause.SAME_CLASS

    def changes_class(self, margin: float | None) -> bool:
        """Whether a margin means another class than INT8's: flipped back, or flipped away."""
        return margin is not None and (margin > 0) == self.flipped
