"""What report.json says of a float network that does no better than guessing: what was tried, and helped."""

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report import figures
from pipeline.report.record import Record

EXPORT = "[export]"
"""Where a known model's normalisation is said: in a table of the build's own settings."""


class PixelShares(Record):
    """What is right where pixels are classified, means over images."""

    right: float  # share of right pixels
    iou: float  # intersection over union, mean of the classes that an image has


class TriedInput(Record):
    """One way to prepare pictures, and what it made the network get right."""

    name: str
    right: NonNegativeInt | None  # images; None: pixels are classified
    lines: tuple[str, ...]  # of TOML, that say so
    pixels: PixelShares | None = None


class ClassOrder(Record):
    """Another order of the classes, found on half of the images and judged on the other."""

    images: PositiveInt  # of the other half
    right: NonNegativeInt | None
    right_as_told: NonNegativeInt | None
    labels: tuple[str, ...]  # of the network's outputs, in order
    pixels: PixelShares | None = None
    pixels_as_told: PixelShares | None = None
    mask_numbers: tuple[NonNegativeInt, ...] = ()  # which number each one in the masks has to become

    @property
    def mean(self) -> float:
        """The share of right images, or the mean IoU."""
        if self.pixels is not None:
            return self.pixels.iou
        return (self.right or 0) / self.images


class Diagnosis(Record):
    """Usual causes, tried in order."""

    images: PositiveInt
    right_as_told: NonNegativeInt | None
    tried: tuple[TriedInput, ...]
    best: TriedInput | None  # None: nothing makes the network clearly better than guessing
    rivals: tuple[str, ...] = ()  # what is not shown to be worse than the best
    class_order: ClassOrder | None = None
    where: str  # the file, and its table, that the lines belong in
    pixels_as_told: PixelShares | None = None

    @property
    def conclusion(self) -> str:
        """Say in one sentence what was found, and what to do."""
        if self.best is not None:
            right, before = right_words(self.best), _share(self.right_as_told, self.pixels_as_told)
            of_all = "" if self.best.pixels else f" of {self.images} right"
            found = (
                f"With {self.best.name}: {right}{of_all} instead of {before}."
                f" Put into {self.where}: {'; '.join(self.best.lines)}."
            )
            if self.rivals:
                found += f" Not shown to be worse: {', '.join(self.rivals)}."
            return found
        if self.class_order is not None:
            return _other_order(self.class_order, self.where, self.order_line)
        return (
            f"None of the usual causes explains it: {len(self.tried)} ways to prepare pictures were tried"
            f" on {self.images} images, and the order of the classes. Weights that are not trained look like"
            " this, and so do wrong labels."
        )

    @property
    def order_line(self) -> str:
        """Return the line of TOML that puts the classes right."""
        assert self.class_order is not None  # noqa: S101 - who asks has looked
        return f"labels = {list(self.class_order.labels)}".replace("'", '"')

    @property
    def as_described(self) -> TriedInput:
        """Return what the network gets right as it is described."""
        return TriedInput(name="as described", right=self.right_as_told, lines=(), pixels=self.pixels_as_told)


def right_words(tried: TriedInput) -> str:
    """Say what is right: a number of images, or shares of pixels."""
    return _share(tried.right, tried.pixels)


def _share(images: int | None, pixels: PixelShares | None) -> str:
    if pixels is None:
        return str(images)
    return f"{figures.percent(pixels.right)} of pixels, mean IoU {figures.percent(pixels.iou)}"


def _other_order(order: ClassOrder, where: str, line: str) -> str:
    if order.pixels is not None:
        changed = [f"{k} becomes {new}" for k, new in enumerate(order.mask_numbers) if k != new]
        return (
            "The masks number the classes in another order than the outputs: with the order that fits half of"
            f" the images, the other {order.images} have {_share(None, order.pixels)} right instead of"
            f" {_share(None, order.pixels_as_told)}. Write the masks with other numbers:"
            f" {', '.join(changed)}; 255 stays."
        )
    found = (
        f"The classes are in another order: with the one that fits half of the images, {order.right}"
        f" of the other {order.images} are right instead of {order.right_as_told}"
    )
    if where == EXPORT:
        way = "Write the network as ONNX with `edgec export`, and put into the .toml beside it"
        return f'{found}. {way}: layout = "NHWC"; {line}.'
    return f"{found}. Put into {where}: {line}."
