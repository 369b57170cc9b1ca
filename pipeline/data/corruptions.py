"""Camera corruptions of preprocessed images, in five severities.

Kinds and parameters are those of ImageNet-C, for small images those of CIFAR-10-C: Hendrycks & Dietterich
2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", and the programs
published with it, make_imagenet_c.py and make_cifar_c.py. Reimplemented with NumPy and OpenCV, with these
differences: levels are rounded to the nearest, not down, which would darken images by half a level; noise
depends on a seed and the image; underexposure and low light, which the paper does not have, are derived from
its tables as noted below.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]  # [H, W, C]
Light = NDArray[np.float32]  # [H, W, C] in [0, 1]
Random = np.random.Generator
Parameters = tuple[float, ...]

SEVERITIES = (1, 2, 3, 4, 5)
CIFAR_UP_TO = 84
"""Images with a shorter side up to this use CIFAR-10-C's parameters: the geometric mean of 32 and 224."""


@dataclass(frozen=True)
class Corruption:
    """A kind of corruption, with its parameters at severities 1 to 5 for large and for small images."""

    name: str
    imagenet: tuple[Parameters, ...]
    cifar: tuple[Parameters, ...]
    apply: Callable[[Light, Parameters, Random], Light]

    def __call__(self, image: Image, severity: int, seed: int) -> Image:
        """Return the corrupted image, uint8 [H, W, C]; the same bytes for the same pixels and seed.

        Raises ValueError for a severity other than 1 to 5.
        """
        if severity not in SEVERITIES:
            raise ValueError(f"severity is {severity}; ImageNet-C has 1 to 5")
        table = self.cifar if parameters_of(*image.shape[:2]) == "CIFAR-10-C" else self.imagenet
        light = image.astype(np.float32) / np.float32(255)
        light = self.apply(light, table[severity - 1], self._random(image, seed))
        return np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)

    def _random(self, image: Image, seed: int) -> Random:
        """Return a generator for the image that does not depend on other images or their order."""
        key = hashlib.sha256(f"{self.name} {seed} {image.shape} ".encode() + image.tobytes()).digest()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(key[:16], "little")))


def parameters_of(height: int, width: int) -> str:
    """Return the set of parameters for images of a size: CIFAR-10-C or ImageNet-C."""
    return "CIFAR-10-C" if min(height, width) <= CIFAR_UP_TO else "ImageNet-C"


def gaussian_blur(light: Light, parameters: Parameters, _: Random) -> Light:
    """Blur with a Gaussian of `sigma` pixels, truncated at four sigma; the border is replicated."""
    (sigma,) = parameters
    side = 2 * int(4 * sigma + 0.5) + 1
    return _shaped(cv2.GaussianBlur(light, (side, side), sigma, borderType=cv2.BORDER_REPLICATE), light)


def defocus_blur(light: Light, parameters: Parameters, _: Random) -> Light:
    """Blur with a disk of `radius` pixels whose edge is smoothed by a Gaussian of `sigma` pixels."""
    radius, sigma = parameters
    reach = max(8, int(radius))
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    disk = (x**2 + y**2 <= radius**2).astype(np.float32)
    side = 3 if radius <= 8 else 5
    kernel = cv2.GaussianBlur(disk / disk.sum(), (side, side), sigma)
    return _shaped(cv2.filter2D(light, -1, kernel), light)


def motion_blur(light: Light, parameters: Parameters, random: Random) -> Light:
    """Smear along a line of `radius` pixels that fades with `sigma`, at an angle of -45 to 45 degrees.

    One-sided, as ImageMagick's motion blur, which the published programs call.
    """
    radius, sigma = parameters
    reach = 2 * int(radius)
    angle = np.deg2rad(random.uniform(-45, 45))
    steps = np.arange(reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    rows, columns = (
        reach + np.ceil(steps * part - 0.5).astype(int) for part in (np.sin(angle), np.cos(angle))
    )
    np.add.at(kernel, (rows, columns), np.exp(-(steps**2) / (2 * sigma**2)))
    smeared = cv2.filter2D(light, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    return _shaped(smeared, light)


def gaussian_noise(light: Light, parameters: Parameters, random: Random) -> Light:
    """Add noise of standard deviation `sigma`, as a share of full scale."""
    (sigma,) = parameters
    return light + sigma * random.standard_normal(light.shape, np.float32)


def shot_noise(light: Light, parameters: Parameters, random: Random) -> Light:
    """Apply Poisson noise, as if `full_scale` photons made white."""
    (full_scale,) = parameters
    return (random.poisson(light * full_scale) / full_scale).astype(np.float32)


def low_light(light: Light, parameters: Parameters, random: Random) -> Light:
    """Reduce the light to `share` and apply Poisson noise as `shot_noise` does; no gain is applied."""
    share, full_scale = parameters
    return shot_noise(share * light, (full_scale,), random)


def exposure(light: Light, parameters: Parameters, _: Random) -> Light:
    """Add `shift` to the value of HSV (the largest channel), keeping hue and saturation; black turns gray."""
    (shift,) = parameters
    value = light.max(axis=2, keepdims=True)
    shifted = np.clip(value + shift, 0, 1)
    kept = light * shifted / np.where(value > 0, value, 1)
    return np.asarray(np.where(value > 0, kept, shifted), np.float32)


def jpeg(light: Light, parameters: Parameters, _: Random) -> Light:
    """Compress as JPEG of the given quality (0 to 100), and decode."""
    (quality,) = parameters
    gray = light.shape[2] == 1
    pixels = np.rint(255 * (light if gray else light[:, :, ::-1])).astype(np.uint8)
    encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    decoded = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR)
    assert decoded is not None  # noqa: S101 - it was encoded just now
    seen = _shaped(decoded.astype(np.float32) / 255, light)
    return seen if gray else seen[:, :, ::-1]


def _shaped(image: NDArray[np.generic], like: Light) -> Light:
    """Restore the channel dimension that OpenCV drops from images with one channel."""
    return np.asarray(image, np.float32).reshape(like.shape)


def _each(*values: float) -> tuple[Parameters, ...]:
    return tuple((value,) for value in values)


PHOTONS = {"imagenet": (60.0, 25.0, 12.0, 5.0, 3.0), "cifar": (500.0, 250.0, 100.0, 75.0, 50.0)}
BRIGHTNESS = {"imagenet": (0.1, 0.2, 0.3, 0.4, 0.5), "cifar": (0.05, 0.1, 0.15, 0.2, 0.3)}
LIGHT_LEFT = (0.7, 0.5, 0.35, 0.25, 0.15)
"""Share of the light at severities 1 to 5 of low light, our choice: half a stop to almost three less."""

CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption("gaussian blur", _each(1, 2, 3, 4, 6), _each(0.4, 0.6, 0.7, 0.8, 1), gaussian_blur),
    Corruption(
        "defocus blur",
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        defocus_blur,
    ),
    Corruption(
        "motion blur",
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        motion_blur,
    ),
    Corruption(
        "gaussian noise",
        _each(0.08, 0.12, 0.18, 0.26, 0.38),
        _each(0.04, 0.06, 0.08, 0.09, 0.10),
        gaussian_noise,
    ),
    Corruption("shot noise", _each(*PHOTONS["imagenet"]), _each(*PHOTONS["cifar"]), shot_noise),
    Corruption(  # our addition: ImageNet-C's shot noise with less light
        "low light",
        tuple(zip(LIGHT_LEFT, PHOTONS["imagenet"], strict=True)),
        tuple(zip(LIGHT_LEFT, PHOTONS["cifar"], strict=True)),
        low_light,
    ),
    Corruption(  # "brightness" in the paper
        "overexposure", _each(*BRIGHTNESS["imagenet"]), _each(*BRIGHTNESS["cifar"]), exposure
    ),
    Corruption(  # our addition: ImageNet-C's brightness with the opposite sign
        "underexposure",
        _each(*(-shift for shift in BRIGHTNESS["imagenet"])),
        _each(*(-shift for shift in BRIGHTNESS["cifar"])),
        exposure,
    ),
    Corruption("jpeg", _each(25, 18, 15, 10, 7), _each(80, 65, 58, 50, 40), jpeg),
)
