"""The steps of building on a device, each started over SSH; the last line of output is the result as JSON.

python3 program.pyz probe
python3 program.pyz engines FOLDER      build what is not built yet; FOLDER/engine has the ONNX files
python3 program.pyz stream FOLDER CLASSES [--precision int8|fp16]       pixels from stdin, logits to stdout
python3 program.pyz measure FOLDER IMAGES [--evaluation FILE]
python3 program.pyz tensors FOLDER IMAGES NAMES       the values of tensors inside, into FOLDER/tensors.bin
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np

from ..measure import Settings
from .build import BuildOptions
from .candidate_accuracy import agreement, compare, read_evaluation
from .clocks import locked_clocks
from .competition import Competition, plans_of
from .cuda import Cuda, CudaError
from .device_engines import build_options, check, make_engines, tensorrt, usable
from .device_report import timed
from .engine import FP16, INT8, EngineProblem
from .jetson import read_facts
from .marked_tensors import make_marked_engine, run_marked, write_tensors
from .runner import open_plan

if TYPE_CHECKING:  # numpy.typing does not exist in the NumPy of JetPack 5
    from numpy.typing import NDArray

    from .candidate_accuracy import Evaluation


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one step. Returns the exit code; a failure is one line on stderr."""
    options = _parser().parse_args(arguments)
    end_politely()
    try:
        _step(options)
    except (EngineProblem, CudaError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


def end_politely() -> None:
    """Turn SIGTERM, which a lost connection causes, into an exception, so that the clocks are restored."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="step", required=True)
    commands.add_parser("probe")
    engines = commands.add_parser("engines")
    stream = commands.add_parser("stream")
    measure = commands.add_parser("measure")
    tensors = commands.add_parser("tensors")
    for one in (engines, stream, measure, tensors):
        one.add_argument("folder", type=Path)
    for one in (measure, tensors):
        one.add_argument("images", type=Path, help=".npy, uint8 [N, H, W, C]")
    tensors.add_argument("names", type=Path, help="JSON: a list of tensors")
    engines.add_argument("--options", type=json.loads, default={}, help="JSON of BuildOptions")
    stream.add_argument("classes", type=int, help="how many logits an image has")
    stream.add_argument("--precision", choices=(INT8, FP16), default=INT8)
    measure.add_argument("--evaluation", type=Path, help="evaluation.npz, to compare all candidates on")
    measure.add_argument("--max-drop", type=float, default=1.0, help="points of top-1 that FP16 may lose")
    measure.add_argument("--settings", type=json.loads, default={}, help="JSON of measuring's Settings")
    return parser


def _step(options: argparse.Namespace) -> None:
    if options.step == "probe":
        _answer(asdict(read_facts()))
        return
    engines = options.folder / "engine"
    if options.step == "engines":
        facts = read_facts()
        check(facts)
        keys = make_engines(engines, facts, BuildOptions(**options.options), _say)
        _answer({precision: asdict(key) for precision, key in keys.items()})
    elif options.step == "stream":
        with open_plan(usable(engines, options.precision), tensorrt(), Cuda.load()) as runner:
            _stream(runner, options.classes)
    elif options.step == "tensors":
        _answer(_tensors(options.folder, options.images, json.loads(options.names.read_text())))
    else:
        images = np.load(str(options.images), allow_pickle=False)
        for precision in (INT8, FP16):
            usable(engines, precision)
        evaluation = None if options.evaluation is None else read_evaluation(options.evaluation)
        _answer(_measured(engines, images, Settings(**options.settings), evaluation, options.max_drop))


def _tensors(folder: Path, images: Path, names: list[str]) -> dict[str, Any]:
    """Build an engine with marked tensors, and write their values for images into tensors.bin."""
    facts = read_facts()
    check(facts)
    engines = folder / "engine"
    plan = make_marked_engine(engines, facts, build_options(engines), names, _say)
    values = run_marked(tensorrt(), Cuda.load(), plan, np.load(str(images), allow_pickle=False))
    return {"tensors": write_tensors(values, folder / "tensors.bin")}


def _measured(
    engines: Path,
    images: NDArray[np.uint8],
    settings: Settings,
    evaluation: Evaluation | None,
    max_drop: float,
) -> dict[str, Any]:
    """Build the candidates that are not built yet, and time all on batches of `images` [N, H, W, C].

    With an `evaluation` their accuracy is compared on it too.
    """
    facts, trt, cuda = read_facts(), tensorrt(), Cuda.load()
    competition = Competition(engines, facts, _say)
    trials = competition.build()
    with locked_clocks(engines / "clocks.saved", _say) as locked:
        mixed, costs = competition.mix(trials, trt, cuda, settings.batch)
        trials.append(mixed)
        plans = plans_of(engines, trials)
        found = timed(trt, cuda, plans, images, settings, _say)
        same = agreement(trt, cuda, plans, images)
        compared = compare(trt, cuda, plans, evaluation, max_drop, _say) if evaluation else {}
    return {
        **found,
        **compared,
        "agreement": same,
        "candidates": [asdict(trial) for trial in trials],
        "layer_costs": [asdict(cost) for cost in costs],
        "clocks_locked": locked,
        "facts": asdict(facts),
    }


def _answer(values: dict[str, Any]) -> None:
    print(json.dumps(values), flush=True)


def _say(line: str) -> None:
    print(line, flush=True)


def _stream(runner: Any, classes: int) -> None:
    """Answer every image on stdin with its logits, until stdin ends.

    Raises EngineProblem if the engine has another number of logits: the answers would be cut apart wrongly.
    """
    pixels, logits_of_one = runner.pixels[0], runner.logits.shape[1]
    if logits_of_one != classes:
        raise EngineProblem(f"the engine gives {logits_of_one} logits an image, the network has {classes}")
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is not taken for logits
    while True:
        image = sys.stdin.buffer.read(pixels.nbytes)
        if len(image) < pixels.nbytes:
            return
        logits = runner.infer(np.frombuffer(image, np.uint8).reshape((1, *pixels.shape)))
        answers.write(logits.astype("<f4").tobytes())
        answers.flush()
