"""How long a camera's picture takes to become the model's input, and what share of the whole that is.

    python -m benchmarks.preprocessing [--engine out/resnet18-grocery-host/model.engine]

The compiled resize, NumPy's, and OpenCV's INTER_AREA take turns on the same pictures, on one thread, to
224 x 224. Prints medians in milliseconds of CPU time. With --engine the steps of a JPEG of 1280 x 720 too:
decoding, resizing, the model, and all of it with the top-5.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from targets.runtime import compiled_resize
from targets.runtime.classify import likeliest
from targets.runtime.native_runner import open_engine
from targets.runtime.preprocess import Preprocessing, decode
from targets.runtime.resize import Part, resized, resized_by_numpy

SIZES = ((480, 640), (720, 1280), (1080, 1920))
SIDE, MARGIN, ROUNDS = 224, 256, 60


def scene(height: int, width: int) -> NDArray[np.uint8]:
    """Return something like a photo: its JPEG has a usual size."""
    small = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, 4, large.shape)
    return np.asarray(np.clip(large + noise, 0, 255), np.uint8)


def medians(steps: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return each step's median in milliseconds of CPU time; they take turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            start = time.process_time()
            step()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: float(np.median(found[5:])) for name, found in times.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"compiled: {compiled_resize.library() is not None}")
    for height, width in SIZES:
        found = medians(resizes(scene(height, width)))
        print(f"{width} x {height}  " + "  ".join(f"{name} {ms:.2f}" for name, ms in found.items()))
    if options.engine:
        steps_of_a_picture(options.engine)


def resizes(image: NDArray[np.uint8]) -> dict[str, Callable[[], object]]:
    """Return the ways to resize a picture."""
    across = round(image.shape[1] * MARGIN / image.shape[0])
    crop = Part((MARGIN - SIDE) // 2, (across - SIDE) // 2, SIDE, SIDE)
    whole = Part(0, 0, SIDE, SIDE)
    return {
        "INTER_AREA": lambda: cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA),
        "all of it": lambda: resized(image, SIDE, SIDE, whole),
        "crop": lambda: resized(image, MARGIN, across, crop),
        "crop, NumPy": lambda: resized_by_numpy(image, MARGIN, across, crop),
    }


def steps_of_a_picture(engine: Path) -> None:
    """Time a JPEG of 1280 x 720 step by step, and all of it."""
    jpeg = cv2.imencode(".jpg", scene(720, 1280), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    with open_engine(engine) as runner:
        height, width, channels = runner.metadata["image"]
        names = tuple(map(str, range(runner.metadata["classes"])))
        fit = Preprocessing(height, width, channels)
        picture = decode(jpeg, channels)
        inputs = fit(picture)[None]
        found = medians(
            {
                "decode": lambda: decode(jpeg, channels),
                "resize and crop": lambda: fit(picture),
                "model": lambda: runner.infer(inputs),
                "whole": lambda: likeliest(runner.infer(fit(decode(jpeg, channels))[None])[0], names, 5),
            }
        )
    ratio = found["whole"] / (found["decode"] + found["model"])
    print(f"{len(jpeg)} bytes, input {width} x {height}: {found}, whole / (decode + model) = {ratio:.3f}")


if __name__ == "__main__":
    main()
