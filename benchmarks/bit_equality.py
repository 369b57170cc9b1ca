"""Compares the logits of the oracle, this machine and emulated boards on real images, bit for bit.

    python -m benchmarks.bit_equality --depth 50 --photos PHOTOS.zip [--images 256] [--only a76]
    python -m benchmarks.bit_equality --model resnet20-fashion                  # as `edgec build` does
    python -m benchmarks.bit_equality --model resnet20-cifar10 --data CIFAR10
    python -m benchmarks.bit_equality --model densenet --data CIFAR10           # small, of another family

With --depth an ImageNet-style ResNet with random weights whose norms have seen photos, so that every layer is
alive; which weights it has does not matter to whether bits agree. Prints, for each way to compute the logits,
how many of them differ in any bit from this machine's engine, and the sha256 of all; then engine sizes and
build times.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.random_weights import settle

Images = NDArray[np.uint8]
Logits = NDArray[np.float32]
Way = Callable[[Images], Logits]

EMULATED = {"neon": "cortex-a72", "dotprod": "cortex-a76", "i8mm": "max"}
SIDE = 224
CALIBRATION = 64
CHUNK = 16


@dataclass(frozen=True)
class ComparedModel:
    """A Q/DQ model and preprocessed real images, uint8 [N, H, W, C], to compare on."""

    name: str
    model: Path
    images: Images


def with_random_weights(depth: int, side: int, photos: Path, count: int, folder: Path) -> ComparedModel:
    """Quantise a ResNet of the ImageNet form; its images are photos, as many of each class as can be."""
    from pipeline.data.open import open_dataset
    from pipeline.models.zoo import find_model

    preprocessing = find_model("resnet50" if side == SIDE else f"resnet50-{side}px").preprocessing
    dataset = open_dataset(photos, "coarse")

    def draw(role: str, wanted: int) -> Images:
        split = dataset.split(role).stratified(wanted)  # type: ignore[arg-type] # a role by name
        return np.concatenate([batch.images for batch in split.batches(preprocessing, 32)])

    model = write_model(depth, draw("calibration", CALIBRATION), folder)
    return ComparedModel(f"ResNet-{depth} at {side} pixels", model, draw("evaluation", count))


def as_built(model: str, data: Path | None, count: int, folder: Path) -> ComparedModel:
    """Quantise a known model, an ONNX file or a small network of another family as `edgec build` does."""
    from pipeline.build.plan import Build
    from pipeline.config import BuildConfig
    from pipeline.progress import Silent
    from tests.pipeline.models.foreign import networks

    if model in networks.CLASSIFIERS:
        path = networks.export(networks.make(networks.CLASSIFIERS[model]), folder / f"{model}.onnx")
        path.with_suffix(".toml").write_text('mean = [0.5]\nstd = [0.25]\nfit = "stretch"\n')
        model = str(path)
    build = Build(BuildConfig(model=model, data=data, out=folder / "out", target="host"), Silent())
    images = build.evaluation.stratified(count, seed=0)
    pixels = np.concatenate([batch.images for batch in images.batches(build.model.preprocessing, 32)])
    return ComparedModel(f"{build.model.name}, {build.recipe.name}", build.int8_model.path, pixels)


def write_model(depth: int, photos: Images, folder: Path) -> Path:
    """Write the Q/DQ ONNX of a ResNet whose norms normalise what photos give."""
    import torch

    from calibration.collect import collect
    from calibration.qdq import quantize
    from calibration.recipe import QuantRecipe
    from pipeline.models.architecture import Architecture
    from pipeline.models.resnet import FromPixels, build
    from pipeline.models.zoo import find_model
    from pipeline.stages.export import write_onnx

    torch.manual_seed(0)
    row = find_model(f"resnet{depth}")
    network = FromPixels(build(Architecture("imagenet", depth), 3, 1000), row.mean, row.std)
    batches = [photos[i : i + CHUNK] for i in range(0, len(photos), CHUNK)]
    settle(network, map(torch.from_numpy, batches))
    path, recipe = folder / "model.onnx", QuantRecipe.parse("w8a8_asym")
    write_onnx(network.eval(), photos.shape[1:], True, path)
    quantize(path, collect(path, batches, recipe), recipe, folder / "int8.onnx")
    return folder / "int8.onnx"


def ways(model: Path, folder: Path, oracle: bool, only: str) -> Iterator[tuple[str, str, Way]]:
    """Yield name, a note and a function from images to logits; engines are built on the way."""
    from targets.reach.emulator import EmulatedRunner
    from targets.runtime.cpu import why_not
    from targets.runtime.native_runner import open_engine
    from targets.tvm.cpu_target import compile_engine, host_isa
    from targets.tvm.isa import ISAS

    def built(name: str) -> tuple[Path, str]:
        start = time.monotonic()
        compile_engine(model, ISAS[name], folder / name)
        size = (folder / name).stat().st_size / 2**20
        return folder / name, f"built in {time.monotonic() - start:.1f} s, {size:.2f} MiB"

    def native(engine: Path, threads: int) -> Way:
        def run(images: Images) -> Logits:
            with open_engine(engine, threads) as runner:
                return runner.infer(images)

        return run

    def emulated(cpu: str, engine: Path) -> Way:
        return EmulatedRunner(engine, cpu, threads=1).infer

    engine, note = built(host_isa().name)
    yield f"host {host_isa().name}", note, native(engine, 1)
    others: dict[str, Callable[[], tuple[str, Way]]] = {
        f"host {host_isa().name}, 3 threads": lambda: ("", native(engine, 3)),
        **{
            f"host {name}": partial(_elsewhere, built, name, lambda path: native(path, 1))
            for name in ("avxvnni", "avx512", "avx2", "sse4")
            if why_not(name) is None
        },
        "oracle (NumPy)": lambda: ("", _oracle(model)),
    }
    for name, cpu in EMULATED.items():
        others[f"{name} in qemu-aarch64 -cpu {cpu}"] = partial(
            _elsewhere, built, name, partial(emulated, cpu)
        )
    for name, make in others.items():
        if only in name and (oracle or "oracle" not in name):
            yield name, *make()


def _elsewhere(
    built: Callable[[str], tuple[Path, str]], name: str, open_: Callable[[Path], Way]
) -> tuple[str, Way]:
    path, note = built(name)
    return note, open_(path)


def _oracle(model: Path) -> Way:
    from targets.tvm import oracle
    from targets.tvm.importer import import_graph

    graph = import_graph(model)

    def run(images: Images) -> Logits:
        return oracle.run(graph, images)

    return run


def timed(way: Way, images: Images, limit: float) -> tuple[Logits, float]:
    """Compute logits until all images are done or the time is up; return seconds too."""
    start, parts = time.monotonic(), []
    for i in range(0, len(images), CHUNK):
        parts.append(way(images[i : i + CHUNK]))
        if time.monotonic() - start > limit:
            break
    return np.concatenate(parts), time.monotonic() - start


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--depth", type=int, default=18)
    parser.add_argument("--side", type=int, default=SIDE, help="pixels, for --depth")
    parser.add_argument("--photos", type=Path, help="a .zip with labels.csv, for --depth")
    parser.add_argument("--model", help="instead: a known model, an ONNX file, or densenet, googlenet, ...")
    parser.add_argument("--data", type=Path, help="images, where --model has none of its own")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--skip-oracle", action="store_true")
    parser.add_argument("--only", default="", help="besides the first, only ways whose names contain this")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each way")
    arguments = parser.parse_args()
    if (arguments.model is None) == (arguments.photos is None):
        parser.error("give --photos, or --model")
    with tempfile.TemporaryDirectory(prefix="edgec-bits-") as scratch:
        folder, count = Path(scratch), arguments.images
        if arguments.model is None:
            subject = with_random_weights(arguments.depth, arguments.side, arguments.photos, count, folder)
        else:
            subject = as_built(arguments.model, arguments.data, count, folder)
        print(f"{subject.name}, {len(subject.images)} images", flush=True)
        first: Logits | None = None
        for name, note, way in ways(subject.model, folder, not arguments.skip_oracle, arguments.only):
            logits, seconds = timed(way, subject.images, arguments.seconds)
            first = logits if first is None else first
            differing = int((logits.view(np.int32) != first[: len(logits)].view(np.int32)).sum())
            digest = hashlib.sha256(logits.tobytes()).hexdigest()[:16]
            what = f"{len(logits)} images, {differing} of {logits.size} logits differ, sha256 {digest}"
            print(f"{name:39} {what}, {seconds:.0f} s. {note}", flush=True)


if __name__ == "__main__":
    main()
