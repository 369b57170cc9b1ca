"""Time and memory of calibration, ours and onnxruntime's min-max, on the same images.

    python -m benchmarks.calibration_cost [--depth 50] [--images 1024] [--size 224] [--only METHOD ...]
        [MODEL.onnx]

Without a file, an ImageNet-style ResNet with random weights is exported: cost does not depend on them.
A method is an observer, which collects ranges, or a whole recipe, which quantises.
Every method runs in a process of its own. Memory is the peak above what the process held with the float
model loaded in onnxruntime; the times exclude loading it. Processor time says more than the clock on a
machine that others use too: bind the script to one core with taskset, so that no thread waits by spinning.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

OURS = ("minmax", "avg", "pct", "kl", "mse")
PEER = "onnxruntime min-max"
BATCH = 16


def images(count: int, size: int) -> Iterator[NDArray[np.uint8]]:
    """Random pictures uint8 [n, size, size, 3], a batch at a time."""
    rng = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        yield rng.integers(0, 256, (min(BATCH, count - start), size, size, 3), np.uint8)


def export(depth: int, size: int, path: Path) -> None:
    """Write a ResNet with random weights."""
    import torch

    from pipeline.models.architecture import Architecture
    from pipeline.models.resnet import FromPixels, build
    from pipeline.models.zoo import IMAGENET_MEAN, IMAGENET_STD
    from pipeline.stages.export import write_onnx

    torch.manual_seed(0)
    network = build(Architecture("imagenet", depth), 3, 1000)
    on_pixels = FromPixels(network, IMAGENET_MEAN, IMAGENET_STD).eval()
    write_onnx(on_pixels, (size, size, 3), True, path)


def run(method: str, model: Path, count: int, size: int) -> dict[str, float]:
    """Calibrate in this process; return seconds, seconds of processor time and MiB."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model))
    session.run(None, {"image": next(images(1, size))})
    before, start, processor = _peak_mib(), time.monotonic(), time.process_time()
    if method == PEER:
        _calibrate_by_onnxruntime(model, count, size)
    else:
        _calibrate(method, model, count, size)
    return {
        "seconds": time.monotonic() - start,
        "processor": time.process_time() - processor,
        "mib": _peak_mib() - before,
    }


def _calibrate(method: str, model: Path, count: int, size: int) -> None:
    from calibration.collect import collect
    from calibration.produce import produce
    from calibration.recipe import QuantRecipe

    if not method.startswith("w8a8_"):
        collect(model, images(count, size), QuantRecipe.parse(f"w8a8_sym_{method}"))
        return
    with tempfile.TemporaryDirectory() as scratch:
        produce(model, lambda: images(count, size), QuantRecipe.parse(method), Path(scratch))


def _calibrate_by_onnxruntime(model: Path, count: int, size: int) -> None:
    from onnxruntime.quantization import CalibrationDataReader
    from onnxruntime.quantization.calibrate import create_calibrator

    class TimedBatches(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
        def __init__(self) -> None:
            self.batches = images(count, size)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            batch = next(self.batches, None)
            return None if batch is None else {"image": batch}

    with tempfile.TemporaryDirectory() as scratch:
        kinds = ["Conv", "Gemm", "Add", "GlobalAveragePool", "MaxPool"]
        calibrator = create_calibrator(
            str(model), kinds, augmented_model_path=str(Path(scratch) / "augmented.onnx")
        )
        calibrator.collect_data(TimedBatches())
        calibrator.compute_data()


def _peak_mib() -> float:
    """The most memory that was resident since this program began; getrusage counts from the parent's on."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Print one line a method."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--depth", type=int, default=50)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--only", nargs="+", default=[PEER, *OURS], help="the methods to run, or recipes")
    parser.add_argument("--method", help="run this one here and print JSON; what the script does to itself")
    chosen = parser.parse_args()
    if chosen.method:
        print(json.dumps(run(chosen.method, chosen.model, chosen.images, chosen.size)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        model = chosen.model or Path(scratch) / "model.onnx"
        if chosen.model is None:
            export(chosen.depth, chosen.size, model)
        for method in chosen.only:
            arguments = [
                str(model),
                "--images",
                str(chosen.images),
                "--size",
                str(chosen.size),
                "--method",
                method,
            ]
            command = [sys.executable, "-m", "benchmarks.calibration_cost", *arguments]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            cost = json.loads(printed.splitlines()[-1])
            print(
                f"{method:22} {cost['seconds']:8.1f} s {cost['processor']:8.1f} s of processor "
                f"{cost['mib']:8.0f} MiB above the loaded model",
                flush=True,
            )


if __name__ == "__main__":
    main()
