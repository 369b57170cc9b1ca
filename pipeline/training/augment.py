"""Random augmentations of a batch. Crops and flips work on uint8, with a fourth of the memory traffic."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def random_crop(images: Tensor, margin: int, random: torch.Generator) -> Tensor:
    """Shift each image of uint8 [N, H, W, C] by up to `margin` pixels each way; the border becomes black."""
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


def resized(images: Tensor, side: int) -> Tensor:
    """Scale float [N, C, H, W] to `side` pixels high and as wide in proportion, with antialiasing."""
    height, width = images.shape[2:]
    if side == height:
        return images
    return functional.interpolate(
        images, (side, round(width * side / height)), mode="bilinear", align_corners=False, antialias=True
    )


def random_zoom(images: Tensor, cut: float, random: torch.Generator) -> Tensor:
    """Cut a window out of each of float [N, C, H, W] and scale it up again.

    The window keeps 1 - `cut` to all of the area, and is up to a third longer than high or the other way
    (Szegedy et al. 2015, "Going Deeper with Convolutions", section 6).
    """
    n = len(images)
    area = 1 - cut * torch.rand(n, generator=random)
    stretch = torch.exp(torch.empty(n).uniform_(-1, 1, generator=random) * math.log(4 / 3) / 2)
    sizes = torch.stack([(area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)], 1)
    centres = (2 * torch.rand((n, 2), generator=random) - 1) * (1 - sizes)
    windows = torch.cat([torch.diag_embed(sizes), centres[:, :, None]], 2).to(images)
    grid = functional.affine_grid(windows, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def random_colour(images: Tensor, strength: float, random: torch.Generator) -> Tensor:
    """Change brightness, contrast and saturation of pixels [N, H, W, C] by factors within 1 +- `strength`.

    Returns float in [0, 255].
    """
    n = len(images)
    bright, contrast, saturated = (
        (1 + strength * (2 * torch.rand((n, 1, 1, 1), generator=random) - 1)).to(images.device)
        for _ in range(3)
    )
    pixels = images.float() * bright
    middle = pixels.mean((1, 2, 3), keepdim=True)
    pixels = middle + contrast * (pixels - middle)
    gray = pixels.mean(3, keepdim=True)
    return (gray + saturated * (pixels - gray)).clamp(0, 255)


def random_erase(images: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Set a rectangle of `share` of the float images [N, C, H, W] to 0, the mean once they are normalised.

    A rectangle has 2 to 25 % of the area (Zhong et al. 2017, "Random Erasing Data Augmentation").
    """
    n, _, height, width = images.shape
    hit = torch.rand(n, generator=random) < share
    sides = torch.empty((n, 2)).uniform_(0.02**0.5, 0.5, generator=random)
    places = torch.rand((n, 2), generator=random) * (1 - sides)
    rows, columns = (torch.arange(size)[None] / size for size in (height, width))
    down = (rows >= places[:, :1]) & (rows < places[:, :1] + sides[:, :1])
    across = (columns >= places[:, 1:]) & (columns < places[:, 1:] + sides[:, 1:])
    gone = hit[:, None, None] & down[:, :, None] & across[:, None, :]
    return images.masked_fill(gone[:, None].to(images.device), 0.0)
