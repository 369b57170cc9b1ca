"""How often is FP32 called better than guessing, meaningless or neither, at accuracies that are known?

python -m benchmarks.plausibility_false_alarms
"""

import argparse
from collections import Counter

import numpy as np

from pipeline.report.model.certainty import Verdict
from pipeline.report.plausibility import judge_answers
from targets.base import Origin

REPEATED = 1000
SETS = ((2, 20), (2, 200), (2, 1000), (10, 10), (10, 50), (10, 200), (10, 1000), (1000, 1000), (1000, 5000))
"""Classes and images."""


def simulated(classes: int, images: int, accuracy: float, rng: np.random.Generator) -> Counter[Verdict]:
    """Judge a network that is right with this probability, on sets of equally frequent classes."""
    there = np.bincount(np.arange(images) % classes, minlength=classes)
    return Counter(
        judge_answers(there, rng.binomial(there, accuracy), Origin.HOST).verdict for _ in range(REPEATED)
    )


def main() -> None:
    """Print a row for each set and accuracy."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    rng = np.random.default_rng(0)
    print("| classes | images | true accuracy | pass | inconclusive | meaningless |")
    print("|---|---|---|---|---|---|")
    for classes, images in SETS:
        for name, accuracy in (
            ("chance", 1 / classes),
            ("1.5 times chance", 1.5 / classes),
            ("half of what chance leaves", 0.5 + 0.5 / classes),
        ):
            found = simulated(classes, images, accuracy, rng)
            shares = (
                f"{found[verdict] / REPEATED:.1%}"
                for verdict in (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.MEANINGLESS)
            )
            print(f"| {classes} | {images:,} | {name} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
