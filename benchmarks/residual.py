"""What a skip connection does to gradients, to quantisation error, and what its variants cost.

    python -m benchmarks.residual gradients     # gradient norm by block at the start, with and without skips
    python -m benchmarks.residual noise         # SQNR behind each block in INT8, with and without, trained
    python -m benchmarks.residual shortcuts     # cost of options A, B and C on targets
    python -m benchmarks.residual times         # their time on this machine, alternately; builds them first

Each prints its figures, writes them to docs/measured/ and draws docs/measured/*.svg.
"""

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.family import known
from benchmarks.random_network import RandomNetwork, pictures, quantize_for
from pipeline.models.architecture import Architecture, Shortcut
from pipeline.models.zoo import find_model
from pipeline.report.lines import LineChart, Points

if TYPE_CHECKING:
    import onnx
    import torch

MEASURED = Path("docs/measured")
SEEDS = 3
KINDS: tuple[tuple[Shortcut, str], ...] = (("none", "plain"), ("A", "ResNet"))


def gradients() -> LineChart:
    """Return the gradient's norm at each block's first convolution, relative to the last block's.

    One batch of 64 embedded images at 16 pixels, freshly initialised, mean of the logarithm over SEEDS seeds.
    """
    lines: dict[str, Points] = {}
    for depth in (20, 56, 110):
        for shortcut, name in KINDS:
            architecture = Architecture("cifar", depth, shortcut)
            logs = [np.log(gradient_norms(architecture, seed)) for seed in range(SEEDS)]
            norms = np.exp(np.mean(logs, axis=0))
            places = np.linspace(0, 1, len(norms))
            lines[f"{name}-{depth}"] = list(zip(places.tolist(), (norms / norms[-1]).tolist(), strict=True))
    return LineChart(
        "Gradient at the start of training",
        "block, from the input (0) to the classifier (1)",
        "gradient norm, last block = 1",
        lines,
        dashed=frozenset(name for name in lines if name.startswith("plain")),
        log=True,
    )


def gradient_norms(architecture: Architecture, seed: int) -> NDArray[np.float64]:
    """Return the norm of the gradient of each block's first convolution, at the start of training."""
    import torch
    from torch.nn import functional

    from pipeline.models import resnet
    from pipeline.models.blocks import Block

    torch.manual_seed(seed)
    network = resnet.build(architecture, 1, 10).train()
    model = find_model("resnet20-fashion-16px")
    images = torch.from_numpy(pictures(64, model.input_shape, seed))
    labels = torch.randint(0, 10, (64,))
    logits = resnet.FromPixels(network, model.mean, model.std)(images)
    torch.autograd.backward(functional.cross_entropy(logits, labels))
    blocks = [module for module in network.modules() if isinstance(module, Block)]
    found = [block.get_parameter("conv1.weight").grad for block in blocks]
    return np.array([grad.norm().item() for grad in found if grad is not None])


def noise(epochs: int) -> LineChart:
    """Return the SQNR, in dB, of each block's output in INT8 against float: with and without skips.

    All are trained for `epochs` on 2,048 embedded calibration images at 16 pixels, calibrated on 32 of them
    (w8a8_asym), and compared on 64 evaluation images.
    """
    lines: dict[str, Points] = {}
    for kind in ("resnet20", "plain20"):
        name = f"{kind}-fashion-16px"
        with tempfile.TemporaryDirectory() as scratch:
            found = block_sqnr(name, epochs, Path(scratch))
        lines[kind] = list(enumerate(found, start=1))
    plain = frozenset(name for name in lines if name.startswith("plain"))
    return LineChart("Quantisation error by depth", "block", "SQNR, dB", lines, plain)


def block_sqnr(name: str, epochs: int, folder: Path) -> list[float]:
    """Quantise a briefly trained network and compare what leaves each block."""
    import onnx
    import onnxruntime

    from pipeline.models import resnet
    from pipeline.stages.export import write_onnx

    model = find_model(name)
    on_pixels = resnet.FromPixels(briefly_trained(name, epochs), model.mean, model.std).eval()
    write_onnx(on_pixels, model.input_shape, True, folder / "m.onnx")
    images, calibration = _embedded(name, "evaluation", 64)[0], _embedded(name, "calibration", 32)[0]
    subject = RandomNetwork(name, folder / "m.onnx", images, calibration)
    int8 = quantize_for(subject, "w8a8_asym", folder)
    outputs = block_outputs(onnx.load(folder / "m.onnx"))
    answers = []
    for path in (folder / "m.onnx", int8):
        graph = onnx.load(path)
        known_names = {name for node in graph.graph.node for name in node.output}
        missing = [output for output in outputs if output not in known_names]
        if missing:
            raise ValueError(f"{path.name} has no tensors {missing}")
        del graph.graph.output[:]
        graph.graph.output.extend(onnx.helper.make_empty_tensor_value_info(output) for output in outputs)
        session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        answers.append(session.run(outputs, {"image": images}))
    return [
        float(10 * np.log10((a.astype(np.float64) ** 2).sum() / ((a - b).astype(np.float64) ** 2).sum()))
        for a, b in zip(*answers, strict=True)
    ]


def block_outputs(model: "onnx.ModelProto") -> list[str]:
    """Return the tensors that leave the blocks: the output of every second ReLU after the stem's."""
    relus = [node.output[0] for node in model.graph.node if node.op_type == "Relu"]
    return relus[2::2]


def _embedded(name: str, role: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from pipeline.data.open import open_dataset

    split = open_dataset("fashion-mnist").split(role).stratified(count)  # type: ignore[arg-type] # by name
    batch = next(split.batches(find_model(name).preprocessing, count))
    return batch.images, batch.labels


def briefly_trained(name: str, epochs: int) -> "torch.nn.Module":
    """Train on the embedded calibration images: enough for weights that are not random."""
    import torch

    from pipeline.training.held import HeldImages
    from pipeline.training.settings import TrainConfig
    from pipeline.training.trainer import Trainer

    images, labels = _embedded(name, "calibration", 2048)
    held = HeldImages(torch.from_numpy(images), torch.from_numpy(labels))
    config = TrainConfig(model=name, epochs=epochs, batch_size=64, peak_learning_rate=0.1, small_epochs=0)
    trainer = Trainer(config, find_model(name), 10)
    for number in range(1, epochs + 1):
        record = trainer.epoch(number, [held], trainer.steps(len(held.images)), lambda _: None)
        print(f"{name} epoch {number}: training accuracy {record.accuracy:.1%}", flush=True)
    return trainer.network.eval()


def shortcuts(path: Path) -> None:
    """Write, for ResNet-20 with each option, multiply-accumulates, emulated instructions and engine sizes.

    Options that the file has already are not measured again.
    """
    from calibration.coverage import coverage
    from targets.registry import find_target

    found: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}
    for name in _names():
        if name in found:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            subject = known(name, 8, folder)
            int8 = quantize_for(subject, "w8a8_asym", folder)
            figures: dict[str, float] = {"macs": coverage(int8).total_macs}
            for target_name in ("arm", "arm-dotprod"):
                target = find_target(target_name)
                engine = folder / target_name
                target.build(int8, engine, subject.model)
                counted = target.instructions(engine, subject.images[:1])
                figures[f"{target_name} instructions"] = float("nan") if counted is None else counted
                figures[f"{target_name} bytes"] = engine.stat().st_size
        found[name] = figures
        print(name, figures, flush=True)
        path.write_text(json.dumps(found, indent=1) + "\n")


OPTIONS = ("", "-optionb", "-optionc")
TIMED = ("host", "reference")


def times(path: Path, engines: Path) -> None:
    """Write INT8's time with options B and C over A's, measured alternately on one thread of this machine.

    Engines that are in the folder `engines` already are not built again, so that a quiet machine only times.
    """
    from pipeline.report.speed import speed_ratio
    from targets.registry import find_target
    from targets.runtime.measure import Settings, measure_engines

    images = pictures(8, (32, 32, 3), seed=1)
    missing = [name for name in _names() if not (engines / name / "w8a8_asym.onnx").exists()]
    for name in missing:
        (engines / name).mkdir(parents=True, exist_ok=True)
        subject = known(name, 8, engines / name)
        int8 = quantize_for(subject, "w8a8_asym", engines / name)
        for target_name in TIMED:
            find_target(target_name).build(int8, engines / name / target_name, subject.model)
    found = {}
    for target_name in TIMED:
        target = find_target(target_name)
        openers = [partial(target.open, engines / name / target_name) for name in _names()]
        measured = measure_engines(openers, images, Settings(max_seconds=8.0))
        ratios = [speed_ratio(measured[0], one) for one in measured[1:]]
        found[target_name] = {
            "A ms": float(np.median(measured[0].runs_ns)) / 1e6,
            **{
                f"{option} / A": [one.ratio, one.interval.low, one.interval.high]
                for option, one in zip("BC", ratios, strict=True)
            },
        }
        print(target_name, found[target_name], flush=True)
    path.write_text(json.dumps(found, indent=1) + "\n")


def _names() -> list[str]:
    return [f"resnet20{option}-cifar10" for option in OPTIONS]


def _keep(name: str, chart: LineChart) -> None:
    MEASURED.mkdir(parents=True, exist_ok=True)
    (MEASURED / f"{name}.svg").write_text(chart.svg())
    rounded = {
        line: [[round(x, 4), float(f"{y:.5g}")] for x, y in points] for line, points in chart.lines.items()
    }
    (MEASURED / f"{name}.json").write_text(json.dumps(rounded) + "\n")
    for line, points in rounded.items():
        print(f"{line:20} first {points[0][1]:.4g}, last {points[-1][1]:.4g}")


def main() -> None:
    """Measure one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("gradients", "noise", "shortcuts", "times"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--engines", type=Path, default=Path("out/shortcuts"), help="where `times` builds")
    chosen = parser.parse_args()
    if chosen.what == "gradients":
        _keep("gradients", gradients())
    elif chosen.what == "noise":
        _keep("noise", noise(chosen.epochs))
    elif chosen.what == "times":
        times(MEASURED / "shortcut_times.json", chosen.engines)
    else:
        MEASURED.mkdir(parents=True, exist_ok=True)
        shortcuts(MEASURED / "shortcuts.json")


if __name__ == "__main__":
    main()
