"""Plants faults into networks and counts how many `edgec diff` names.

    python -m benchmarks.diff_hits FOLDER [--faults 200] [--seed 1] [--pairs 0] [--only FAULT ...]
        [--networks NAME ...]

FOLDER keeps the five networks, each in float and quantised by several recipes. For every fault a network,
its form (float or Q/DQ) and a place are drawn; a fault that leaves the logits within 30 dB is drawn again,
also the second of a pair, compared with the network that has the first.
A fault is named `exactly` if one finding has its kind and place, `by kind` if one has its kind, `wrong` if
there are findings of other kinds only, and `missed` if there are none or the verdict is not "different".
Sound pairs are compared too: each finding there, and each verdict "different", is a false accusation.
`--pairs` is how many times two faults are planted together.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.peers import network as peers
from benchmarks.planted.planters import PLANTERS
from calibration.exact.session import is_from_onnxruntime
from calibration.produce import produce
from calibration.recipe import QuantRecipe
from pipeline.difference.compare import compare
from pipeline.difference.decibels import MOST_DB, ratio_db
from pipeline.difference.side import graph_logits
from pipeline.difference.verdict import Judged, judge
from pipeline.models.architecture import Architecture
from pipeline.report.model.difference_report import Sameness

RECIPES = ("w8a8_asym", "w8a8_asym_mse_bc", "w8a8_sym_mse_eq_bc")
VISIBLE_DB = 30.0
OF_PICTURES = {"channel order of the picture", "normalisation", "picture geometry"}
"""Kinds that have one place, in front of the first layer, under any name of its tensor."""
CASES = (
    peers.PeerCase("resnet20", Architecture("cifar", 20), 32, 10),
    peers.PeerCase("resnet18", Architecture("imagenet", 18), 64, 100),
    peers.PeerCase("mobilenetv2", "v2", 64, 100),
    peers.PeerCase("mobilenetv3", "v3_small", 96, 100),
    peers.PeerCase("unet", "unet", 64, 8),
    peers.PeerCase("resnet18-224", Architecture("imagenet", 18), 224, 1000),
    peers.PeerCase("resnet50-224", Architecture("imagenet", 50), 224, 1000),
)
FIRST = tuple(case.name for case in CASES[:5])
"""Those that are compared unless others are named: comparisons at 224 take tens of seconds."""


@dataclass(frozen=True)
class FaultSubject:
    """A network in float and quantised, with pictures."""

    name: str
    forms: dict[str, onnx.ModelProto]
    pictures: NDArray[np.uint8]


def subjects(folder: Path, names: list[str]) -> list[FaultSubject]:
    """Return the networks, written into `folder` by the first run."""
    found = []
    for case in (one for one in CASES if one.name in names):
        here = folder / case.name
        if not (here / "ready").is_file():
            here.mkdir(parents=True, exist_ok=True)
            peers.write(case, here)
            pixels = peers.pictures(peers.CALIBRATION, case.side)
            for recipe in RECIPES:
                (here / recipe).mkdir(exist_ok=True)
                produce(
                    here / "model.onnx",
                    lambda pixels=pixels: iter([pixels]),  # type: ignore[misc]
                    QuantRecipe.parse(recipe),
                    here / recipe,
                )
            (here / "ready").touch()
        forms = {"float": onnx.load(here / "model.onnx")}
        forms |= {recipe: onnx.load(here / recipe / "model.int8.onnx") for recipe in RECIPES}
        found.append(FaultSubject(case.name, forms, peers.pictures(peers.CALIBRATION, case.side)[:16]))
    return found


def main() -> None:
    """Print a row for each fault, the sound pairs, and the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=list(PLANTERS))
    parser.add_argument("--networks", nargs="*", default=list(FIRST))
    arguments = parser.parse_args()
    known = subjects(arguments.folder, arguments.networks)
    rng = np.random.default_rng(arguments.seed)
    _sound_pairs(known)
    table: dict[str, Counter[str]] = {name: Counter() for name in arguments.only}
    longest = 0.0
    for number, names in enumerate(_wanted(arguments.only, arguments.faults, arguments.pairs)):
        planted = _plant(known, names, rng)
        if planted is None:
            print(f"{number:4} {' + '.join(names)}: no network has a place for it")
            continue
        subject, form, model, places = planted
        start = time.process_time()
        judged = _judged(subject, model)
        spent = time.process_time() - start
        longest = max(longest, spent)
        for name, place in zip(names, places, strict=True):
            outcome = _outcome(judged, name, place)
            table[name][outcome] += 1
            said = "; ".join(f"{one.kind} at {one.place}" for one in judged.findings[:3]) or "nothing"
            print(
                f"{number:4} {name} in {subject.name}, {form}, at {place}: {outcome}"
                f" ({said}; {spent:.1f} CPU s)",
                flush=True,
            )
    _print_table(table, longest)


def _wanted(only: list[str], faults: int, pairs: int) -> Iterator[tuple[str, ...]]:
    rng = np.random.default_rng(0)
    for number in range(faults):
        yield (only[number % len(only)],)
    for _ in range(pairs):
        first, second = rng.choice(len(only), 2, replace=False)
        yield only[first], only[second]


def _plant(
    known: list[FaultSubject], names: tuple[str, ...], rng: np.random.Generator
) -> tuple[FaultSubject, str, onnx.ModelProto, list[str]] | None:
    """Draw a network and places until the faults move the logits; None if that never happens."""
    for _ in range(200):
        subject = known[int(rng.integers(len(known)))]
        form = str(rng.choice(list(subject.forms)))
        model = onnx.ModelProto()
        model.CopyFrom(subject.forms[form])
        places = []
        for name in names:
            sound = onnx.ModelProto()
            sound.CopyFrom(model)
            place = PLANTERS[name][1](model, rng)
            if place is None or not _is_visible(sound, model, subject.pictures[:4]):
                break
            places.append(place)
        if len(places) == len(names):
            return subject, form, model, places
    return None


def _is_visible(sound: onnx.ModelProto, faulty: onnx.ModelProto, pictures: NDArray[np.uint8]) -> bool:
    before, after = _logits(sound, pictures), _logits(faulty, pictures)
    return after is not None and before is not None and ratio_db(before, after) < VISIBLE_DB


def _logits(model: onnx.ModelProto, pictures: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    try:
        return graph_logits(model, pictures)
    except Exception as error:
        if not is_from_onnxruntime(error):
            raise
        return None  # the fault leaves no network that can run


def _judged(subject: FaultSubject, model: onnx.ModelProto) -> Judged:
    """Return what `edgec diff` finds about the float network and another form."""
    found = compare(subject.forms["float"], model, subject.pictures)
    ours, theirs = found.sides.a_values[found.sides.a.output], found.sides.b_values[found.sides.b.output]
    return judge(found, ratio_db(ours, theirs.reshape(ours.shape)) if ours.size == theirs.size else -MOST_DB)


def _outcome(judged: Judged, name: str, place: str) -> str:
    if judged.verdict is not Sameness.DIFFERENT:
        return "missed"
    kind = PLANTERS[name][0]
    right = [one for one in judged.findings if one.kind == kind]
    if any(one.place == place or kind in OF_PICTURES for one in right):
        return "exactly"
    if right:
        return "by kind"
    return "wrong" if judged.findings else "missed"


def _sound_pairs(known: list[FaultSubject]) -> None:
    accused = pairs = 0
    for subject in known:
        for form, model in subject.forms.items():
            judged = _judged(subject, model)
            pairs += 1
            said = "; ".join(f"{one.kind} at {one.place}" for one in judged.findings)
            if said or judged.verdict is Sameness.DIFFERENT:
                accused += 1
                print(f"sound pair {subject.name}, {form}: {judged.verdict} ({said})", flush=True)
    print(f"sound pairs: {pairs}, accused: {accused}", flush=True)


def _print_table(table: dict[str, Counter[str]], longest: float) -> None:
    outcomes = ("exactly", "by kind", "wrong", "missed")
    print(f"\n| fault | kind to name | {' | '.join(outcomes)} |\n|---|---|{'---|' * len(outcomes)}")
    total: Counter[str] = Counter()
    for name, counts in table.items():
        total += counts
        print(f"| {name} | {PLANTERS[name][0]} | {' | '.join(str(counts[one]) for one in outcomes)} |")
    print(f"| all | | {' | '.join(str(total[one]) for one in outcomes)} |")
    named = total["exactly"] + total["by kind"]
    print(f"\nnamed by kind: {named} of {total.total()}; the longest comparison took {longest:.1f} CPU s")


if __name__ == "__main__":
    main()
