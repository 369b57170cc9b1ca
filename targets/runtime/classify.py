"""Classify pictures with an unpacked bundle: python3 run picture.jpg ..."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .bundle.manifest import Manifest, ManifestError
from .bundle.regular_file import read_at_most
from .device_limits import PICTURE_FILE_BYTES
from .preprocess import ImageError, Preprocessing, decode
from .printable import printable
from .runners import find_runner

if TYPE_CHECKING:
    from numpy.typing import NDArray


class NoAnswer(ValueError):
    """Logits that are not numbers, or not one for each class: what stands first among them means nothing."""


def main(folder: Path, arguments: list[str] | None = None) -> int:
    """Print the likeliest classes of each picture, or those of most of its pixels.

    Returns the exit code: 1 if one could not be read.
    """
    options = _parser().parse_args(arguments)
    try:
        manifest = Manifest.read(folder)
        manifest.check(folder)
    except ManifestError as error:
        print(f"run: {error}", file=sys.stderr)
        return 1
    module = find_runner(manifest.runner)
    with ExitStack() as opened:
        try:
            runner = opened.enter_context(module.open_engine(folder / manifest.engine, options.threads))
        except ValueError as error:
            print(f"run: {error}", file=sys.stderr)
            return 1
        if options.masks:
            options.masks.mkdir(parents=True, exist_ok=True)
        done = [_classify(picture, runner, manifest, options) for picture in options.pictures]
    return 0 if all(done) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run", description="Classify pictures.")
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--top", type=_positive, default=3, help="how many classes to show (default: 3)")
    parser.add_argument(
        "--masks",
        type=Path,
        metavar="FOLDER",
        help="of a network that classifies pixels: write their classes there, as gray PNGs",
    )
    parser.add_argument("--threads", type=_positive, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object per line")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not an integer from 1 on")
    return int(text)


def _classify(picture: Path, runner: Any, manifest: Manifest, options: argparse.Namespace) -> bool:
    preprocessing = Preprocessing(**manifest.preprocessing)
    try:
        image = preprocessing(decode(read_at_most(picture, PICTURE_FILE_BYTES), preprocessing.channels))
    except (OSError, ImageError) as error:
        print(printable(f"run: {picture}: {error}"), file=sys.stderr)
        return False
    logits = runner.infer(image[None])[0]
    try:
        best = [] if manifest.pixels else likeliest(logits, manifest.classes, options.top)
        found = pixel_classes(logits, manifest) if manifest.pixels else None
    except NoAnswer as error:
        print(printable(f"run: {picture}: {error}"), file=sys.stderr)
        return False
    if found is not None:
        if options.masks:
            import cv2

            cv2.imwrite(str(options.masks / (picture.stem + ".png")), found.astype(np.uint8))
        print(_line(picture, largest(found, manifest.classes, options.top), options.json, "share"))
    else:
        print(_line(picture, best, options.json, "probability"))
    return True


def check_finite(logits: NDArray[np.float32]) -> None:
    """Raise NoAnswer unless every logit is a number."""
    wrong = int((~np.isfinite(logits)).sum())
    if wrong:
        raise NoAnswer(
            f"the engine gave {wrong} of {logits.size} logits that are not numbers, so there is no class"
        )


def pixel_classes(logits: NDArray[np.float32], manifest: Manifest) -> NDArray[np.int64]:
    """Return the class of each pixel [H, W]. Raises NoAnswer as `likeliest` does."""
    assert manifest.pixels is not None  # noqa: S101 - asked of networks that classify pixels
    wanted = (len(manifest.classes), *manifest.pixels)
    if logits.size != int(np.prod(wanted)):
        raise NoAnswer(f"the engine gave {logits.size} logits for {list(wanted)} classes of pixels")
    check_finite(logits)
    return np.asarray(logits.reshape(wanted).argmax(0))


def likeliest(logits: NDArray[np.float32], classes: tuple[str, ...], top: int) -> list[tuple[str, float]]:
    """Return the `top` classes of one picture with their softmax probabilities, likeliest first.

    Raises NoAnswer for logits that are not numbers, or not as many as there are classes.
    """
    if logits.size != len(classes):
        raise NoAnswer(f"the engine gave {logits.size} logits for {len(classes)} classes")
    check_finite(logits)
    shifted = logits.astype(np.float64) - logits.max()
    probabilities = np.exp(shifted) / np.exp(shifted).sum()
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(classes[i], float(probabilities[i])) for i in order]


def largest(found: NDArray[np.int64], classes: tuple[str, ...], top: int) -> list[tuple[str, float]]:
    """Return the `top` classes of the pixels [H, W] with the share of them that each has, largest first."""
    shares = np.bincount(found.ravel(), minlength=len(classes)) / found.size
    order = np.argsort(-shares, kind="stable")[:top]
    return [(classes[i], float(shares[i])) for i in order if shares[i] > 0]


def _line(picture: Path, best: list[tuple[str, float]], as_json: bool, what: str) -> str:
    if as_json:
        return json.dumps({"picture": str(picture), "classes": [{"name": n, what: p} for n, p in best]})
    return printable(f"{picture}: ") + ", ".join(f"{name} {100 * share:.1f} %" for name, share in best)
