"""Random crops, flips, zooms and colours of a batch of uint8 images."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def random_crop(images: Tensor, margin: int, random: torch.Generator) -> Tensor:
    """Shift each of uint8 [N, H, W, C] by up to `margin` pixels each way; black comes in from outside."""
    n, height, width, _ = images.shape
    padded = functional.pad(images, (0, 0, margin, margin, margin, margin))
    top, left = torch.randint(0, 2 * margin + 1, (2, n, 1), generator=random)
    rows = top + torch.arange(height)
    columns = left + torch.arange(width)
    return padded[torch.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def random_flip(images: Tensor, random: torch.Generator) -> Tensor:
    """Mirror each image of [N, H, W, C] left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=random) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(2), images)


def random_zoom(images: Tensor, smallest: float, random: torch.Generator) -> Tensor:
    """Show of each of uint8 [N, H, W, C] a random part, scaled to the whole: Szegedy et al. 2015, section 6.

    The part has between `smallest` and all of the image's area and its sides' ratio is changed by up to 4/3.
    """
    n, height, width, _ = images.shape
    area, ratio, left, top = torch.rand(4, n, generator=random)
    area = smallest + (1 - smallest) * area
    stretch = torch.exp((2 * ratio - 1) * math.log(4 / 3) / 2)
    across, down = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
    matrix = torch.zeros(n, 2, 3)  # places of the result, in [-1, 1], to places of the image
    matrix[:, 0, 0], matrix[:, 0, 2] = across, (2 * left - 1) * (1 - across)
    matrix[:, 1, 1], matrix[:, 1, 2] = down, (2 * top - 1) * (1 - down)
    grid = functional.affine_grid(matrix, [n, 1, height, width], align_corners=False)
    pixels = images.permute(0, 3, 1, 2).float()
    zoomed: Tensor = functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return zoomed.round().to(torch.uint8).permute(0, 2, 3, 1)


def random_colour(images: Tensor, strength: float, random: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of each of uint8 [N, H, W, C] by up to 1 +- `strength`."""
    n = len(images)
    brightness, contrast, saturation = 1 + strength * (2 * torch.rand(3, n, 1, 1, 1, generator=random) - 1)
    pixels = images.float()
    grey = pixels.mean(3, keepdim=True)
    pixels = grey + saturation * (pixels - grey)
    middle = grey.mean((1, 2), keepdim=True)
    pixels = brightness * (middle + contrast * (pixels - middle))
    changed: Tensor = pixels.round().clamp(0, 255).to(torch.uint8)
    return changed


def resized(images: Tensor, side: int) -> Tensor:
    """Scale float [N, C, H, W] to `side` pixels high and as wide in proportion, with antialiasing."""
    height, width = images.shape[2:]
    if side == height:
        return images
    return functional.interpolate(
        images, (side, round(width * side / height)), mode="bilinear", align_corners=False, antialias=True
    )
