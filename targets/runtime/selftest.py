"""./run selftest: does this machine compute what was validated?

The bundle has evaluation images with the logits that the engine gave for them where it was validated, and a
picture with the bytes that preprocessing made of it there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from .bundle.manifest import EVALUATION, Manifest, ManifestError
from .classify import check_finite
from .preprocess import Preprocessing, decode
from .runners import find_runner, is_exact

AGREEMENT = 0.9
"""Share of images whose class must be the same where logits may differ in rounding."""


class SelfTestFailed(Exception):
    """This machine's results differ from those of the validation."""


def main(folder: Path, arguments: list[str] | None = None) -> int:
    """Test the bundle in `folder` on this machine. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="run selftest", description="Compare with what was validated.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inferences", type=int, default=0, help="how many to time (default: none)")
    parser.add_argument("--within-ms", type=float, help="fail unless 99 %% of them take no longer")
    options = parser.parse_args(arguments)
    try:
        result = check(folder, options.threads)
        if options.inferences > 0:
            result["p99_ms"] = p99_ms(folder, options.threads, options.inferences)
            if options.within_ms is not None and result["p99_ms"] > options.within_ms:
                raise SelfTestFailed(
                    f"99 % of {options.inferences} inferences took up to {result['p99_ms']:.3f} ms;"
                    f" {options.within_ms:g} ms are stated"
                )
    except (ManifestError, SelfTestFailed, ValueError) as error:
        print(f"selftest: FAIL: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(result))
    else:
        how = (
            "all logits bit for bit"
            if result["exact"]
            else f"{result['agreement']:.0%} of the classes the same"
        )
        print(
            f"selftest: pass: every file, preprocessing byte for byte, {result['images']} images: {how};"
            f" {result['right']} of {result['classes']} classes right"
        )
    return 0


def p99_ms(folder: Path, threads: int, inferences: int) -> float:
    """Return the milliseconds within which 99 % of the inferences ended, one image each."""
    manifest = Manifest.read(folder)
    with np.load(str(folder / EVALUATION), allow_pickle=False) as held:
        images = held["images"]
    taken = []
    with find_runner(manifest.runner).open_engine(folder / manifest.engine, threads) as runner:
        for number in range(inferences):
            image = images[number % len(images)][None]
            begin = time.perf_counter()
            runner.infer(image)
            taken.append(1e3 * (time.perf_counter() - begin))
    return sorted(taken)[-(-99 * inferences // 100) - 1]


def check(folder: Path, threads: int = 1) -> dict[str, Any]:
    """Check the files, preprocessing and engine of the bundle in `folder`; return the figures.

    Raises ManifestError, SelfTestFailed or ValueError for the first error.
    """
    manifest = Manifest.read(folder)
    manifest.check(folder)
    module = find_runner(manifest.runner)
    with np.load(str(folder / EVALUATION), allow_pickle=False) as held:
        golden = {name: held[name] for name in held.files}
    preprocessing = Preprocessing(**manifest.preprocessing)
    made = preprocessing(decode(golden["picture"].tobytes(), preprocessing.channels))
    if not np.array_equal(made, golden["preprocessed"]):
        different = int((made != golden["preprocessed"]).sum())
        raise SelfTestFailed(
            f"preprocessing: {different} of {made.size} values differ from those of the validation"
        )
    with module.open_engine(folder / manifest.engine, threads) as runner:
        logits = np.asarray(runner.infer(golden["images"])).reshape(golden["int8"].shape)
    check_finite(logits)
    exact = is_exact(module)
    same = logits.argmax(1) == golden["int8"].argmax(1)
    differing = (logits.view(np.int32) != golden["int8"].view(np.int32)).reshape(len(logits), -1).any(axis=1)
    if exact and differing.any():
        raise SelfTestFailed(
            f"the logits of {int(differing.sum())} of {len(logits)} images differ: the engine is wrong here"
        )
    if same.mean() < AGREEMENT:
        raise SelfTestFailed(
            f"only {int(same.sum())} of {same.size} classes are the same as in the validation"
        )
    return {
        "model": manifest.model,
        "target": manifest.target,
        "images": len(logits),
        "exact": exact,
        "agreement": float(same.mean()),
        "right": int((logits.argmax(1) == golden["labels"]).sum()),
        "classes": int(same.size),
    }
