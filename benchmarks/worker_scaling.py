"""What workers cost and gain: a validation by none, by one and by two, in turn.

    python -m benchmarks.worker_scaling --config FILE [--rounds 3] [--unit 1024]

Everything up to the engine is made once. Each round then validates without workers, on local:1 and on
local:2, in a process of its own. Prints for each: seconds of the validation, seconds with the start and
the end of the workers, and processor seconds of all processes; and the load of the machine before each round.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from pipeline.build.plan import Build
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.stages import answer
from pipeline.units.open_workers import open_workers

PLACES = ("", "local:1", "local:2")


def validate(config: Path, out: Path, place: str, unit: int) -> dict[str, float]:
    """Validate with an engine that is there, and return what it took, in seconds."""
    answer.UNIT_IMAGES = unit
    shutil.rmtree(out / "store" / "products" / "answer", ignore_errors=True)
    shutil.rmtree(out / "store" / "products" / "validate", ignore_errors=True)
    start = time.perf_counter()
    with open_workers(place or None) as workers:
        build = Build(load_config(BuildConfig, config, {"out": out}), Silent(), workers)
        _ = build.engine
        began = time.perf_counter()
        _ = build.accuracy
        validated = time.perf_counter() - began
    whole = time.perf_counter() - start
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"validation": validated, "whole": whole, "cpu": sum(one.ru_utime + one.ru_stime for one in used)}


def main() -> None:
    """Print what each way took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--unit", type=int, default=answer.UNIT_IMAGES)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.rounds < 1 or chosen.unit < 1:
        parser.error("--rounds and --unit are 1 or more")
    if chosen.place is not None:
        sys.stdout.write(json.dumps(validate(chosen.config, chosen.out, chosen.place, chosen.unit)))
        return
    _ = Build(load_config(BuildConfig, chosen.config, {"out": chosen.out}), Silent()).engine
    found: dict[str, list[dict[str, float]]] = {place: [] for place in PLACES}
    command = [sys.executable, "-m", "benchmarks.worker_scaling", *sys.argv[1:], "--place"]
    for _ in range(chosen.rounds):
        print(f"load {os.getloadavg()[0]:.1f}", flush=True)
        for place in PLACES:
            done = subprocess.run([*command, place], check=True, capture_output=True, text=True)
            found[place].append(json.loads(done.stdout.splitlines()[-1]))
            print(place or "none", found[place][-1], flush=True)
    for place, runs in found.items():
        print(place or "none", {name: round(median(run[name] for run in runs), 2) for name in runs[0]})


if __name__ == "__main__":
    main()
