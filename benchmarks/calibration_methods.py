"""onnxruntime's calibration methods beside ours: same model, images and seed.

    python -m benchmarks.calibration_methods [--model NAME] [--data PATH] [--checkpoint PATH] [--images 512]
        [--python VENV/bin/python]

For every method: top-1, agreement with the float model's top-1, SQNR of the logits and seconds to quantise,
on all evaluation images, in onnxruntime's default session. --python names a Python that has NNCF or ModelOpt
(see `peers/calibrate_elsewhere.py`), to compare with them too. docs/calibration.md holds results.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from calibration.metrics import closeness, logits
from calibration.prepare_float import Images
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.build.plan import Build
from pipeline.config import BuildConfig
from pipeline.data.split import Split
from pipeline.progress import Silent

BATCH = 32
RECIPES = (
    "w8a8_sym",
    "w8a8_sym_pct",
    "w8a8_sym_kl",
    "w8a8_sym_mse",
    "w8a8_sym_mse_bc",
    "w8a8_sym_mse_wmse_obq_bc",
    "w8a8_sym_mse_eq_wmse_obq_bc",
    "w8a8_sym_mse_eq_pix_wmse_obq_bc",
    "w8a8_sym_mse_eq_ctr_pix_wmse_obq_bc",
    "w8a8_sym_mse_eq_pix_sens_wmse_obq_bc",
    "w8a8_asym",
    "w8a8_asym_avg",
    "w8a8_asym_pct",
    "w8a8_asym_kl",
    "w8a8_asym_mse",
    "w8a8_asym_mse_bc",
    "w8a8_asym_mse_wmse_bc",
    "w8a8_asym_mse_wmse_obq_bc",
    "w8a8_asym_mse_eq_wmse_obq_bc",
    "w8a8_asym_mse_eq_sens_wmse_obq_bc",
    "w8a8_asym_mse_nosat_bc",
    "w8a8_asym_mse_eq_wmse_nosat_bc",
)
PEERS = {
    "onnxruntime min-max symmetric": (CalibrationMethod.MinMax, True),
    "onnxruntime entropy symmetric": (CalibrationMethod.Entropy, True),
    "onnxruntime percentile symmetric": (CalibrationMethod.Percentile, True),
    "onnxruntime min-max asymmetric": (CalibrationMethod.MinMax, False),
}

ELSEWHERE = {"nncf": "NNCF", "modelopt": "ModelOpt max"}


class Reader(CalibrationDataReader):  # type: ignore[misc] # onnxruntime ships no types
    """Feeds batches of images to onnxruntime's calibrators."""

    def __init__(self, images: Images) -> None:
        self._batches = iter(images())

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}


def quantize_by_onnxruntime(
    model: Path, images: Images, method: CalibrationMethod, symmetric: bool, output: Path
) -> None:
    """Quantise as onnxruntime's documentation says: prepared first, Q/DQ, int8 weights per channel."""
    prepared = output.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(output),
        Reader(images),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        calibrate_method=method,
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True},
    )


def batches_of(split: Split, build: Build) -> Images:
    """The images of a split, preprocessed once and kept: these data sets are small."""
    kept = [batch.images for batch in split.batches(build.model.preprocessing, BATCH)]
    return lambda: kept


def quantize_elsewhere(tool: str, python: Path, model: Path, images: Images, output: Path) -> Path:
    """Quantise by a tool that another Python has."""
    data = output.with_suffix(".npy")
    np.save(data, np.concatenate(list(images())))
    script = Path(__file__).parent / "peers" / "calibrate_elsewhere.py"
    command = [str(python), str(script), tool, str(model), str(data), str(output)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return output


def methods(
    build: Build, calibration: Images, folder: Path, python: Path | None, more: Sequence[str]
) -> Iterator[tuple[str, Callable[[], Path]]]:
    """Name each method, with what quantises by it and returns the file."""
    model = build.float_model.path
    output = folder / "peer.onnx"

    def by_peer(method: CalibrationMethod, symmetric: bool) -> Path:
        quantize_by_onnxruntime(model, calibration, method, symmetric, output)
        return output

    def by_us(name: str) -> Path:
        return produce(model, calibration, QuantRecipe.parse(name), folder).quantized

    for name, (method, symmetric) in PEERS.items():
        yield name, partial(by_peer, method, symmetric)
    if python is not None:
        for tool, shown in ELSEWHERE.items():
            yield shown, partial(quantize_elsewhere, tool, python, model, calibration, output)
    for name in dict.fromkeys([*RECIPES, *more]):
        yield name, partial(by_us, name)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet20-fashion")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--python", type=Path, help="a Python with NNCF and ModelOpt, to run them too")
    parser.add_argument("--only", nargs="+", help="the methods to run, by their names; a recipe is one")
    chosen = parser.parse_args()
    recipes = [name for name in chosen.only or () if name.startswith("w8a8_")]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        settings = {"images": chosen.images, "seed": chosen.seed}
        config = BuildConfig.model_validate(
            {
                "model": chosen.model,
                "data": chosen.data,
                "checkpoint": chosen.checkpoint,
                "out": folder / "out",
                "calibration": settings,
            }
        )
        build = Build(config, Silent())
        evaluation, calibration = batches_of(build.evaluation, build), batches_of(build.calibration, build)
        reference = logits(build.float_model.path, evaluation())
        labels = build.evaluation.labels
        print(f"{chosen.model}, {chosen.images} images, seed {chosen.seed}")
        print(f"float top-1 {_share(reference, labels)} %")
        print(f"{'method':40} {'top-1 %':>8} {'agreement %':>12} {'SQNR dB':>8} {'s':>6}")
        for name, quantized in methods(build, calibration, folder, chosen.python, recipes):
            if chosen.only and name not in chosen.only:
                continue
            start = time.monotonic()
            try:
                path = quantized()
            except subprocess.CalledProcessError:
                print(f"{name:40} does not run in {chosen.python}", flush=True)
                continue
            seconds = time.monotonic() - start
            found = logits(path, evaluation())
            close = closeness(reference, found)
            top1, agreement = _share(found, labels), 100 * close.agreement
            print(f"{name:40} {top1:>8} {agreement:12.2f} {close.sqnr_db:8.2f} {seconds:6.0f}", flush=True)


def _share(found: NDArray[np.float32], labels: NDArray[np.int64]) -> str:
    """The share of right answers, in per cent."""
    return f"{100 * (found.argmax(axis=1) == labels).mean():.2f}"


if __name__ == "__main__":
    main()
