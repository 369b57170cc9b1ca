"""The degradation experiment: do deeper plain networks have a higher training error, and residual ones not?

    make degradation                      # 2 CPU cores, at most 30 minutes
    make degradation ARGS="--schedule paper"   # 64,000 steps on all images, for a GPU

Trains plain-20, plain-56, ResNet-20 and ResNet-56 on CIFAR-10 (He et al. 2015, section 4.2 and figure 6).
While it runs, OUTPUT/degradation.html shows training and test error and reads itself again. It ends with
report.md, degradation.svg and result.json. Killed and started again, it resumes.

The small schedule: 5,000 images at 16 x 16, 20 epochs of 156 steps, the same for all four: warm-up, then
linear to zero. Residual networks begin with silent branches (the last norm of each block at zero); plain
ones have none. The paper's: 50,000 images at 32 x 32, 64,000 steps, 0.1 divided by 10 at half and three
quarters, weight decay 1e-4 (but not on norms).
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.report.lines import LineChart, Points
from pipeline.training.settings import TrainConfig

NETWORKS = ("plain20", "plain56", "resnet20", "resnet56")
REFRESH_S = 3.0
LAST_EPOCHS = 3
"""How many last epochs an error is the mean of: single epochs jump."""

SMALL = {
    "images": 5000,
    "epochs": 20,
    "batch_size": 32,
    "peak_learning_rate": 0.05,
    "warm_up": 0.2,
    "weight_decay": 5e-4,
    "watch_images": 2000,
    "threads": 1,
}
PAPER = {
    "epochs": 164,  # of 390 steps of 128 images
    "batch_size": 128,
    "peak_learning_rate": 0.1,
    "warm_up": 0.0,
    "drops": (0.5, 0.75),
    "nesterov": False,
    "weight_decay": 1e-4,
}
BOTH = {"label_smoothing": 0.0, "small_epochs": 0.0, "watch": "evaluation"}


@dataclass(frozen=True)
class Curve:
    """One network's errors in percent, an epoch each."""

    training: list[float]
    test: list[float]

    @property
    def last_training(self) -> float:
        """Training error, mean of the last epochs."""
        return _mean(self.training)

    @property
    def last_test(self) -> float:
        """Test error, mean of the last epochs."""
        return _mean(self.test)


def settings(network: str, schedule: str, data: Path, epochs: int | None = None) -> TrainConfig:
    """Return what one network is trained with; `epochs` instead of the schedule's."""
    chosen = BOTH | (SMALL if schedule == "small" else PAPER)
    if network.startswith("resnet") and schedule == "small":
        chosen = chosen | {"silent_branches": True}
    if epochs is not None:
        chosen = chosen | {"epochs": epochs}
    side = "-16px" if schedule == "small" else ""
    return TrainConfig.model_validate(chosen | {"model": f"{network}-cifar10{side}", "data": data})


def train_one(network: str, schedule: str, data: Path, folder: Path, epochs: int | None = None) -> None:
    """Train, or resume; to be run in a process of its own."""
    from pipeline.training.loop import train

    train(settings(network, schedule, data, epochs), folder)


def read(output: Path) -> dict[str, Curve]:
    """Return the curves so far."""
    curves = {}
    for network in NETWORKS:
        path = output / network / "history.jsonl"
        if path.exists():
            records = [json.loads(line) for line in path.read_text().splitlines()]
            curves[network] = Curve(
                [100 * (1 - record["accuracy"]) for record in records],
                [100 * (1 - record["watched"]["accuracy"]) for record in records],
            )
    return curves


def chart(curves: Mapping[str, Curve]) -> LineChart:
    """Draw training error, and dashed test error, as figure 6 of the paper does."""
    lines: dict[str, Points] = {}
    for network, curve in curves.items():
        lines[f"{network} training"] = list(enumerate(curve.training, start=1))
        lines[f"{network} test"] = list(enumerate(curve.test, start=1))
    tests = frozenset(name for name in lines if name.endswith("test"))
    return LineChart("Error on CIFAR-10", "epoch", "error, %", lines, tests)


def findings(curves: Mapping[str, Curve]) -> list[str]:
    """State what was reproduced and what was not, with the figures."""
    said = []
    for family, expected_worse in (("plain", True), ("resnet", False)):
        shallow, deep = curves[f"{family}20"], curves[f"{family}56"]
        for kind, a, b in (
            ("training", shallow.last_training, deep.last_training),
            ("test", shallow.last_test, deep.last_test),
        ):
            worse = b > a
            verdict = "reproduced" if worse == expected_worse else "NOT reproduced"
            paper = "higher" if expected_worse else "no higher"
            said.append(
                f"{family}-56's {kind} error is {abs(b - a):.1f} points {'above' if worse else 'below'}"
                f" {family}-20's ({b:.1f} % and {a:.1f} %). The paper: {paper}. **{verdict}**"
            )
    return said


def report(curves: Mapping[str, Curve], schedule: str, seconds: float) -> str:
    """Write the report."""
    lines = [
        f"# Degradation, {schedule} schedule",
        "",
        f"{len(next(iter(curves.values())).training)} epochs, {seconds / 60:.0f} minutes in all, one seed"
        f" each. Errors are means of the last {LAST_EPOCHS} epochs; training error is of augmented images.",
        "",
        "| network | training error, % | test error, % |",
        "|---|---|---|",
        *(f"| {name} | {c.last_training:.1f} | {c.last_test:.1f} |" for name, c in curves.items()),
        "",
        *(f"- {line}" for line in findings(curves)),
        "",
        "![training and test error](degradation.svg)",
    ]
    return "\n".join(lines) + "\n"


def page(curves: Mapping[str, Curve], finished: bool) -> str:
    """Return the live plot."""
    refresh = "" if finished else f'<meta http-equiv="refresh" content="{REFRESH_S:g}">'
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}'
        f"<title>Degradation</title></head><body>{chart(curves).svg()}</body></html>\n"
    )


def run(schedule: str, data: Path, output: Path, jobs: int, epochs: int | None = None) -> dict[str, Curve]:
    """Train all networks, `jobs` at a time, the deep ones first, redrawing the page as they learn."""
    output.mkdir(parents=True, exist_ok=True)
    waiting = sorted(NETWORKS, key=lambda name: -int(name[-2:]))
    context = multiprocessing.get_context("spawn")
    running: list[multiprocessing.process.BaseProcess] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            name = waiting.pop(0)
            process = context.Process(
                target=train_one, args=(name, schedule, data, output / name, epochs), name=name, daemon=True
            )
            process.start()
            running.append(process)
        time.sleep(REFRESH_S)
        for ended in [one for one in running if not one.is_alive()]:
            running.remove(ended)
            if ended.exitcode:
                raise SystemExit(f"{ended.name} failed with exit code {ended.exitcode}")
            print(f"{ended.name} is trained", flush=True)
        (output / "degradation.html").write_text(page(read(output), finished=False))
    return read(output)


def write(curves: Mapping[str, Curve], schedule: str, seconds: float, output: Path) -> None:
    """Write all that remains."""
    (output / "degradation.html").write_text(page(curves, finished=True))
    (output / "degradation.svg").write_text(chart(curves).svg())
    (output / "report.md").write_text(report(curves, schedule, seconds))
    rounded = {
        name: {"training": [round(v, 2) for v in c.training], "test": [round(v, 2) for v in c.test]}
        for name, c in curves.items()
    }
    result = {"schedule": schedule, "seconds": round(seconds), "error_percent": rounded}
    (output / "result.json").write_text(json.dumps(result, indent=1) + "\n")


def _seconds(output: Path) -> float:
    """Sum the seconds of all epochs: a run that was resumed took them too."""
    return sum(
        float(json.loads(line)["seconds"])
        for network in NETWORKS
        for line in (output / network / "history.jsonl").read_text().splitlines()
    )


def _mean(values: list[float]) -> float:
    last = values[-LAST_EPOCHS:]
    return sum(last) / len(last)


def main() -> None:
    """Run the experiment and print the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--schedule", choices=("small", "paper"), default="small")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/cifar10"))
    parser.add_argument("--output", type=Path, default=Path("runs/degradation"))
    parser.add_argument("--jobs", type=int, default=2, help="networks trained at once")
    parser.add_argument("--epochs", type=int, help="fewer or more than the schedule has")
    chosen = parser.parse_args()
    print(f"Open {chosen.output / 'degradation.html'} in a browser to watch.", flush=True)
    curves = run(chosen.schedule, chosen.data, chosen.output, chosen.jobs, chosen.epochs)
    write(curves, chosen.schedule, _seconds(chosen.output), chosen.output)
    print((chosen.output / "report.md").read_text())


if __name__ == "__main__":
    main()
