"""The usual normalisations and channel orders that networks are trained with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipeline.models.zoo import IMAGENET_MEAN, IMAGENET_STD
from targets.runtime.preprocess import Preprocessing

Numbers = tuple[float, ...]

NORMALISATIONS: dict[str, tuple[Numbers, Numbers]] = {
    "ImageNet's mean and std (torchvision, timm)": (IMAGENET_MEAN, IMAGENET_STD),
    "0 to 1": ((0.0,), (1.0,)),
    "-1 to 1 (TensorFlow, MobileNet)": ((0.5,), (0.5,)),
    "0 to 255": ((0.0,), (1 / 255,)),
}
"""Usual normalisations: mean and std of pixels divided by 255."""
CAFFE = (103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,)
"""In BGR: the means that Caffe's networks, and Keras' VGG and ResNet, subtract from 0 to 255."""


@dataclass(frozen=True)
class InputForm:
    """A normalisation and channel order; mean and std are in the order of `colors`."""

    name: str
    mean: Numbers
    std: Numbers
    colors: str = "RGB"

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the TOML lines that configure it."""
        written = (
            f"{name} = [{', '.join(repr(float(value)) for value in values)}]"
            for name, values in (("mean", self.mean), ("std", self.std))
        )
        return (*written, *([f'colors = "{self.colors}"'] if len(self.mean) == 3 else []))


def usual_forms(channels: int) -> Iterator[InputForm]:
    """Yield the usual forms, RGB before BGR."""
    grays = {name: form for name, form in NORMALISATIONS.items() if channels == 3 or len(form[0]) == 1}
    for name, (mean, std) in grays.items():
        yield InputForm(name, mean * (1 if len(mean) == channels else channels), _wide(std, channels))
    if channels == 3:
        yield InputForm("Caffe's means, BGR", CAFFE[0], _wide(CAFFE[1], 3), "BGR")
        for name, (mean, std) in grays.items():
            yield InputForm(f"{name}, BGR", _wide(mean, 3)[::-1], _wide(std, 3)[::-1], "BGR")


def _wide(values: Numbers, channels: int) -> Numbers:
    return values * channels if len(values) == 1 else values


@dataclass(frozen=True)
class Fit:
    """A way to bring a picture to the network's size."""

    name: str
    preprocessing: Preprocessing
    lines: tuple[str, ...]


def usual_fits(configured: Preprocessing) -> Iterator[Fit]:
    """Yield the usual ways, except for the configured one."""
    large = round(max(configured.height, configured.width) * 256 / 224)
    for name, fit, resize, lines in (
        ("both sides scaled", "stretch", 0, ('fit = "stretch"',)),
        ("the middle cut out, as is", "crop", 0, ('fit = "crop"', 'resize = "auto"')),
        (f"scaled to {large}, the middle cut out", "crop", large, ('fit = "crop"', f"resize = {large}")),
        ("centred on black", "pad", 0, ('fit = "pad"',)),
        ("scaled to fit, on grey", "letterbox", 0, ('fit = "letterbox"', "border = [114]")),
    ):
        border = (114,) if fit == "letterbox" else (0,)  # the grey of YOLO's letterbox
        preprocessing = replace(configured, fit=fit, resize=resize, border=border)
        if preprocessing != configured:
            yield Fit(name, preprocessing, lines)
