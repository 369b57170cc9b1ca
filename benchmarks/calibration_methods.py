"""Peers' calibration methods beside ours: same float model, images and seeds, each result evaluated exactly.

    python -m benchmarks.calibration_methods [--model NAME] [--data PATH] [--checkpoint PATH] [--images 512]
        [--seeds 0 1 2] [--record ROWS.jsonl] [--only METHOD ...] [--python TOOL=VENV/bin/python ...]

For every method and seed: top-1, agreement with the float model's top-1 and SQNR of the logits on all
evaluation images (on their pixels, where the network gives each pixel a class), and seconds of processor time
to quantise. Models are run by onnxruntime with settings that are exact on this processor, .tflite files by
LiteRT. At the end the mean over the seeds, and the smallest and the largest. --python names a Python that
has a peer's tool (see `peers/calibrate_elsewhere.py`), to compare with it too.

With --record a row that was measured is not measured again: rows are found by a digest of the float model,
the images and the method, for our recipes also of calibration's source. docs/calibration.md holds results.
"""

import argparse
import resource
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationMethod

import calibration
from benchmarks.drawn_network import DrawnNetwork, by_answer
from benchmarks.method_rows import MethodRow, table
from benchmarks.peers.calibrate_by_onnxruntime import METHODS, quantize_by_onnxruntime
from benchmarks.recorded_rows import record, recorded
from calibration.metrics import closeness
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.build.plan import Build
from pipeline.config import BuildConfig
from pipeline.progress import Silent

SCRIPT = Path(__file__).parent / "peers" / "calibrate_elsewhere.py"
"""Runs in a Python that has a peer's tool."""
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
    "w8a8_sym_mse_eq_pix_sens_wide_wmse_obq_bc",
    "w8a8_sym_mse_eq_ctr_pix_sens_wmse_obq_bc",
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
    "w8a8_asym_mse_sens_wide_wmse_obq_bc",
    "w8a8_asym_mse_eq_sens_wide_wmse_obq_bc",
    "w8a8_asym_mse_nosat_bc",
    "w8a8_asym_mse_eq_wmse_nosat_bc",
)
ELSEWHERE = {
    "NNCF": "nncf",
    "NNCF full bias correction": "nncf-full",
    "NNCF mixed": "nncf-mixed",
    "ModelOpt max": "modelopt-max",
    "ModelOpt entropy": "modelopt-entropy",
    "AIMET": "aimet-min_max",
    "AIMET tf_enhanced": "aimet-tf_enhanced",
    "AIMET equalised": "aimet-equalized",
    "PPQ": "ppq",
    "PPQ mse": "ppq-mse",
    "PPQ learned steps": "ppq-lsq",
    "LiteRT, ai-edge-quantizer": "litert",
}
"""Methods that another Python runs, by the words of `calibrate_elsewhere.py`: a tool, and its setting."""


@dataclass(frozen=True)
class Method:
    """What quantises. `digest`: what its result depends on, besides the model and the images.

    answers: what runs its result on the evaluation images; float32 [answers, classes].
    """

    name: str
    digest: str
    quantize: Callable[[DrawnNetwork, Path], Path]
    answers: Callable[[DrawnNetwork, Path], NDArray[np.float32]] = DrawnNetwork.answers


def quantize_elsewhere(words: str, python: Path, draw: DrawnNetwork, folder: Path) -> Path:
    """Quantise by a tool that another Python has. Raises CalledProcessError with what the tool said."""
    data, output = folder / "images.npy", folder / "peer.onnx"
    np.save(data, np.concatenate(list(draw.calibration())))
    command = [str(python), str(SCRIPT), words, str(draw.model), str(data), str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return output


def answers_elsewhere(python: Path, draw: DrawnNetwork, model: Path) -> NDArray[np.float32]:
    """The answers of a file that only the tool itself runs. Raises CalledProcessError."""
    data, output = model.with_name("evaluation.npy"), model.with_name("answers.npy")
    np.save(data, np.concatenate(list(draw.evaluation())))
    command = [str(python), str(SCRIPT), "answers", str(model), str(data), str(output)]
    subprocess.run(command, check=True, capture_output=True)
    found: NDArray[np.float32] = np.load(output)
    return by_answer(found)


def methods(pythons: dict[str, Path], more: Sequence[str]) -> Iterator[Method]:
    """Each method. `pythons`: which Python has a tool; `more`: recipes besides the usual ones."""

    def by_onnxruntime(method: CalibrationMethod, symmetric: bool, draw: DrawnNetwork, folder: Path) -> Path:
        quantize_by_onnxruntime(draw.model, draw.calibration, method, symmetric, folder / "peer.onnx")
        return folder / "peer.onnx"

    def by_us(recipe: str, draw: DrawnNetwork, folder: Path) -> Path:
        return produce(draw.model, draw.calibration, QuantRecipe.parse(recipe), folder).quantized

    for name, (method, symmetric) in METHODS.items():
        yield Method(name, onnxruntime.__version__, partial(by_onnxruntime, method, symmetric))
    for name, words in ELSEWHERE.items():
        tool = words.partition("-")[0]
        if tool in pythons:
            python = pythons[tool]
            made = Method(name, version_of(tool, python), partial(quantize_elsewhere, words, python))
            yield replace(made, answers=partial(answers_elsewhere, python)) if tool == "litert" else made
    ours = source_digest()
    for name in dict.fromkeys([*RECIPES, *more]):
        yield Method(name, ours, partial(by_us, name))


def version_of(tool: str, python: Path) -> str:
    """The version of a peer's tool."""
    ran = subprocess.run(
        [str(python), str(SCRIPT), "version", tool], capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()


def source_digest() -> str:
    """Of calibration's source, on which every recipe's result depends."""
    found = sha256()
    for path in sorted(Path(calibration.__path__[0]).rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def measured(method: Method, draw: DrawnNetwork, network: str, key: str) -> MethodRow:
    """Quantise by a method and compare the result with the float model."""
    count = sum(map(len, draw.calibration()))
    row = partial(
        MethodRow,
        key=key,
        network=network,
        images=count,
        seed=draw.seed,
        evaluated=len(draw.build.evaluation),
        method=method.name,
    )
    with tempfile.TemporaryDirectory() as scratch:
        before = _processor_seconds()
        try:
            path = method.quantize(draw, Path(scratch))
        except subprocess.CalledProcessError as error:
            said = error.stderr.decode(errors="replace").strip().splitlines()
            return row(problem=said[-1] if said else "ended without a word")
        seconds = _processor_seconds() - before
        found = method.answers(draw, path)
    close = closeness(draw.reference, found)
    return row(
        float_top1=_share(draw.reference, draw.truth),
        top1=_share(found, draw.truth),
        agreement=close.agreement,
        sqnr_db=close.sqnr_db,
        processor_s=seconds,
    )


def _processor_seconds() -> float:
    """Of this process and the programs that it ran."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _share(found: NDArray[np.float32], truth: NDArray[np.int64]) -> float:
    """The share of right answers."""
    return float((found.argmax(axis=1) == truth).mean())


def _tool(given: str) -> tuple[str, Path]:
    tool, _, python = given.partition("=")
    if tool not in {words.partition("-")[0] for words in ELSEWHERE.values()} or not python:
        raise argparse.ArgumentTypeError(f"{given!r}: a tool and its Python, as nncf=VENV/bin/python")
    return tool, Path(python)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="resnet20-fashion")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--labels")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--evaluate", type=int, help="so many evaluation images instead of all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--record", type=Path, help="a file of rows: those in it are not measured again")
    parser.add_argument(
        "--python",
        type=_tool,
        nargs="+",
        default=[],
        help="nncf=..., modelopt=..., aimet=..., ppq=..., litert=...",
    )
    parser.add_argument("--only", nargs="+", help="the methods to run, by their names; a recipe is one")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the table."""
    chosen = _options()
    recipes = [name for name in chosen.only or () if name.startswith("w8a8_")]
    wanted = [
        one for one in methods(dict(chosen.python), recipes) if not chosen.only or one.name in chosen.only
    ]
    known = {row["key"]: MethodRow(**row) for row in recorded(chosen.record)}
    rows = []
    for seed in chosen.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            given = {name: getattr(chosen, name) for name in ("model", "data", "labels", "checkpoint")}
            settings = {"calibration": {"images": chosen.images, "seed": seed}, "out": Path(scratch) / "out"}
            if chosen.evaluate:
                settings["validation"] = {"images": chosen.evaluate}
            draw = DrawnNetwork(Build(BuildConfig.model_validate(given | settings), Silent()), seed)
            for method in wanted:
                key = sha256(f"{draw.digest} {method.name} {method.digest}".encode()).hexdigest()
                if key not in known:
                    known[key] = measured(method, draw, Path(chosen.model).stem, key)
                    record([known[key]], chosen.record)
                rows.append(known[key])
    print(table(rows))


if __name__ == "__main__":
    main()
