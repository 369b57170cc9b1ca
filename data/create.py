#!/usr/bin/env python3
"""Re-create the files of this folder from Fashion-MNIST as Debian packages it (dataset-fashion-mnist).

    .venv/bin/python data/create.py images     the test and calibration images, byte for byte
    .venv/bin/python data/create.py weights    the weights: about 20 minutes on one core
    .venv/bin/python data/create.py check      compare a fresh copy of the images with what is here

The images do not depend on the machine. The weights do, in their last bits: processors differ in their sums.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from pipeline.cli.console import make_progress
from pipeline.data.idx import write_idx
from pipeline.data.open import open_dataset
from pipeline.training.settings import TrainConfig

HERE = Path(__file__).resolve().parent
SOURCE = Path("/usr/share/datasets/fashion-mnist")
TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
CALIBRATION = ("calibration-images-idx3-ubyte.gz", "calibration-labels-idx1-ubyte.gz")


def create_images(source: Path, folder: Path) -> None:
    """Copy the test files; write the training images that `open_dataset` sets aside for calibration."""
    for name in TEST:
        shutil.copyfile(source / name, folder / name)
    aside = open_dataset(source).split("calibration")
    pixels = np.stack([aside.images.decode(int(i), channels=1)[:, :, 0] for i in aside.indices])
    for name, array in zip(CALIBRATION, (pixels, aside.labels.astype(np.uint8)), strict=True):
        write_idx(folder / name, array)


def create_weights(source: Path, run: Path) -> None:
    """Train with the default recipe on the other training images; a killed run is resumed."""
    from pipeline.training.loop import train

    config = TrainConfig(model="resnet20-fashion", data=source, threads=1)
    result = train(config, run, make_progress(as_json=False))
    shutil.copyfile(result.weights, HERE / "resnet20_fashion.safetensors")
    if result.judgement is not None:
        print(f"{result.judgement.right} of {result.judgement.seen} test images right")


def check_images(source: Path) -> bool:
    """Print each file of images that differs from a fresh one; return whether none does."""
    with tempfile.TemporaryDirectory() as fresh:
        create_images(source, Path(fresh))
        different = [
            n for n in TEST + CALIBRATION if (HERE / n).read_bytes() != (Path(fresh) / n).read_bytes()
        ]
    for name in different:
        print(f"differs: {name}")
    return not different


def main() -> int:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("images", "weights", "check"))
    parser.add_argument(
        "--source", type=Path, default=SOURCE, help="folder of Fashion-MNIST (default: Debian's)"
    )
    parser.add_argument(
        "--run", type=Path, default=Path("runs/resnet20-fashion"), help="folder of the training run"
    )
    chosen = parser.parse_args()
    if chosen.what == "check":
        return 0 if check_images(chosen.source) else 1
    if chosen.what == "weights":
        create_weights(chosen.source, chosen.run)
    else:
        create_images(chosen.source, HERE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
