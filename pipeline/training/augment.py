"""Random crops and flips of a batch, on uint8 tensors: a fourth of the memory traffic of floats."""

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


def resized(images: Tensor, side: int) -> Tensor:
    """Scale float [N, C, H, W] to `side` pixels high and as wide in proportion, with antialiasing."""
    height, width = images.shape[2:]
    if side == height:
        return images
    return functional.interpolate(
        images, (side, round(width * side / height)), mode="bilinear", align_corners=False, antialias=True
    )
