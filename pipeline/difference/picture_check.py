"""Whether both networks get the same pictures: what in front of the first layer would explain a difference.

The first layer is linear, so what B saw is solved for: with x_c the channels that A's first layer reads, and
K_c its kernels, B's output is

    y = sum over c, d of M[c, d] (K_c * x_d)  +  sum over c of t[c] (K_c * 1)  +  bias

for one matrix M and shift t, where * is the convolution with A's own padding. M is the identity if both see
the same picture, a permutation if the order of channels differs, a diagonal if the scale does.
"""

from collections.abc import Callable, Iterator
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.difference.decibels import ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.place import Array

Layer = Callable[[Array], Array]
"""The first layer: its input [N, C, H, W] to its output."""
Pictures = NDArray[np.uint8]
GAIN_DB = 6.0
"""What explains a difference makes the agreement at least so much better."""
NEAR = 0.04
"""How far a factor may be from a round one."""
ORDERED_DB = 20.0
"""The least agreement of what B read with A's picture in another order, where that is the only difference."""


def same_pictures(
    place: str,
    layer: Layer,
    seen: Array,
    expected: Array,
    least_db: float,
    reordered: Callable[[tuple[int, ...]], Array],
) -> tuple[Discrepancy, ...]:
    """Solve for what B's first layer read; empty if no colour or normalisation explains the difference.

    reordered: what A's first layer reads of pictures with their channels in another order.
    """
    before = ratio_db(expected, layer(seen))
    if not np.isfinite(expected).all():
        return ()
    matrix, shift, after = _solve(layer, seen, expected)
    if after < max(before + GAIN_DB, min(least_db, 18.0)):
        return ()
    return tuple(
        Discrepancy(kind, place, evidence, before, after, remedy)
        for kind, evidence, remedy in _named(matrix, shift, seen, reordered)
    )


def _solve(layer: Layer, seen: Array, expected: Array) -> tuple[Array, Array, float]:
    channels = seen.shape[1]
    nothing = layer(np.zeros_like(seen))
    columns = []
    for c in range(channels):
        for d in range(channels):
            only = np.zeros_like(seen)
            only[:, c] = seen[:, d]
            columns.append((layer(only) - nothing).ravel())
    for c in range(channels):
        ones = np.zeros_like(seen)
        ones[:, c] = 1
        columns.append((layer(ones) - nothing).ravel())
    basis = np.stack(columns, 1).astype(np.float64)
    wanted = (expected - nothing).ravel().astype(np.float64)
    found = np.linalg.lstsq(basis.T @ basis, basis.T @ wanted, rcond=1e-10)[0]
    after = ratio_db(expected, (basis @ found).reshape(expected.shape) + nothing)
    return found[: channels**2].reshape(channels, channels), found[channels**2 :], after


def _named(
    matrix: Array, shift: Array, seen: Array, reordered: Callable[[tuple[int, ...]], Array]
) -> Iterator[tuple[FaultKind, str, str]]:
    """Name what B's channels are made of: another order or mixture, and another scale and shift."""
    channels = len(matrix)
    largest = abs(matrix).argmax(1)
    factors = matrix[np.arange(channels), largest]
    off = abs(matrix - np.diag(np.diag(matrix))).max()
    swapped = channels > 1 and sorted(largest) == list(range(channels))
    swapped = swapped and bool((largest != np.arange(channels)).any())
    if swapped:
        names = ["red", "green", "blue"] if channels == 3 else [str(c) for c in range(channels)]
        moved = ", ".join(f"{names[c]} from {names[d]}" for c, d in enumerate(largest) if c != d)
        yield (
            FaultKind.PICTURE_COLOURS,
            f"B takes {moved}",
            'Give B RGB pictures, or say colors = "BGR" in its description.',
        )
        if _is_only_reordered(matrix, shift, seen, reordered):
            return
    elif channels > 1 and off > 0.2 * abs(matrix).max():
        yield (
            FaultKind.PICTURE_COLOURS,
            f"B's channels are mixtures of A's: {np.round(matrix, 2).tolist()}",
            "Look for a conversion of colours, such as to gray, in front of B.",
        )
        return
    evidence = _normalisation_words(factors, shift, float(seen.astype(np.float64).std()))
    yield FaultKind.NORMALISATION, evidence, "Use the same mean and std, in the same unit, in both."


def _is_only_reordered(
    matrix: Array, shift: Array, seen: Array, reordered: Callable[[tuple[int, ...]], Array]
) -> bool:
    """Whether B read A's picture with its channels in another order, and nothing else.

    A program swaps them in front of the normalisation, so that each channel gets another one's mean and std,
    or behind it.
    """
    read = np.einsum("cd,nd...->nc...", matrix, seen) + shift.reshape(1, -1, 1, 1)
    for order in permutations(range(len(matrix))):
        for alone in (reordered(order), seen[:, order]):
            mean = alone.mean((0, *range(2, alone.ndim)), keepdims=True)
            if alone.shape == read.shape and ratio_db(alone - mean, read - mean) >= ORDERED_DB:
                return True
    return False


def _normalisation_words(factors: Array, shift: Array, spread: float) -> str:
    words = [f"B's input is {_numbers(factors)} times A's"]
    if abs(shift).max() > 0.02 * spread or abs(factors - 1).max() < 0.02:
        words.append(f"shifted by {_numbers(shift)} (one standard deviation of A's is {spread:.3g})")
    for factor, name in ((255.0, "0 to 255 instead of 0 to 1"), (1 / 255, "0 to 1 instead of 0 to 255")):
        if abs(factors / factor - 1).max() < NEAR:
            words.append(f"as for pixels of {name}")
    if abs(factors / (219 / 255) - 1).max() < NEAR or abs(factors / (255 / 219) - 1).max() < NEAR:
        words.append("as for video levels of 16 to 235 in one of them")
    return ", ".join(words)


def _numbers(values: Array) -> str:
    shown = [f"{value:.3g}" for value in values]
    return shown[0] if len(set(shown)) == 1 else f"({', '.join(shown)})"


def moved_pictures(
    place: str, run: Callable[[Pictures], Array], pictures: Pictures, expected: Array
) -> Discrepancy | None:
    """Try pictures that are turned, mirrored, cut or scaled differently; None if none explains B."""
    before = ratio_db(expected, run(pictures))
    best, words = before, ""
    for name, changed in _movements(pictures):
        found = run(changed)
        if found.shape != expected.shape:
            continue
        inside = tuple(slice(size // 6, size - size // 6) for size in expected.shape[2:])
        at = (slice(None), slice(None), *inside)
        if (after := ratio_db(expected[at], found[at])) > best:
            best, words = after, name
    if best < before + GAIN_DB / 2 or best < 4:
        return None
    remedy = "Use the same resize, crop and orientation (EXIF) in front of both networks."
    return Discrepancy(FaultKind.PICTURE_GEOMETRY, place, f"B sees pictures {words}", before, best, remedy)


def _movements(pictures: Pictures) -> Iterator[tuple[str, Pictures]]:
    yield "mirrored", pictures[:, :, ::-1]
    yield "upside down", pictures[:, ::-1]
    yield "turned by 180 degrees", pictures[:, ::-1, ::-1]
    if pictures.shape[1] == pictures.shape[2]:
        yield "turned by 90 degrees", np.rot90(pictures, 1, (1, 2))
        yield "turned by 270 degrees", np.rot90(pictures, 3, (1, 2))
        yield "transposed", pictures.swapaxes(1, 2)
    side = pictures.shape[1]
    for zoom in (256 / 224, 224 / 256, 1.25, 0.8):
        yield f"{zoom:.3g} times as large", _zoomed(pictures, zoom)
    most = max(1, side // 6)
    for by in range(1, most + 1):
        for y, x in ((by, by), (-by, -by), (by, 0), (-by, 0), (0, by), (0, -by), (by, -by), (-by, by)):
            yield f"cut out {y} rows further down and {x} columns further right", _shifted(pictures, y, x)


def _shifted(pictures: Pictures, down: int, right: int) -> Pictures:
    rows = np.clip(np.arange(pictures.shape[1]) + down, 0, pictures.shape[1] - 1)
    columns = np.clip(np.arange(pictures.shape[2]) + right, 0, pictures.shape[2] - 1)
    return pictures[:, rows][:, :, columns]


def _zoomed(pictures: Pictures, zoom: float) -> Pictures:
    height, width = pictures.shape[1:3]
    centre = (width / 2 - 0.5, height / 2 - 0.5)
    turn = cv2.getRotationMatrix2D(centre, 0, zoom)
    found = [
        cv2.warpAffine(one, turn, (width, height), borderMode=cv2.BORDER_REPLICATE).reshape(one.shape)
        for one in pictures
    ]
    return np.stack(found)
