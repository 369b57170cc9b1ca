"""Measures the demo's time from a picture's arrival to its result, relative to decoding and the model.

    python -m benchmarks.demo_latency --out /tmp/latency ARGUMENTS OF edgec demo

A film of 1,280 x 720 JPEG pictures is shown at 30 a second, with and without a viewer of its page. The demo's
lines say what each picture took; the ratio is its time from arrival to result, over decoding and the model.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import urllib.request
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from targets.processor import cpu_name

SIDE = (1280, 720)
COLUMNS = ("decode_ms", "preprocess_ms", "model_ms", "end_to_end_ms")
LEFT_OUT = 30
"""Pictures while everything becomes warm."""


def main() -> None:
    """Run the demo twice, and print medians by picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--pictures", type=int, default=300)
    options, more = parser.parse_known_args()
    options.out.mkdir(parents=True, exist_ok=True)
    film = options.out / "720p.avi"
    write_film(film)
    print(f"{cpu_name()}; JPEG of {film.stat().st_size / 90 / 1024:.0f} KiB a picture")
    print(f"{'':10}", *(f"{name:>14}" for name in COLUMNS), f"{'ratio':>8} {'its 90 %':>8}")
    for viewed in (False, True):
        records = shown(film, options, more, viewed)
        medians = (statistics.median(record[name] for record in records) for name in COLUMNS)
        ratios = sorted(
            record["end_to_end_ms"] / (record["decode_ms"] + record["model_ms"]) for record in records
        )
        tail = ratios[int(0.9 * len(ratios))]
        name = "a viewer" if viewed else "nobody"
        print(
            f"{name:10}",
            *(f"{value:14.3f}" for value in medians),
            f"{statistics.median(ratios):8.2f} {tail:8.2f}",
        )


def write_film(path: Path) -> None:
    """Write three seconds of a soft background with some noise, and a thing that moves."""
    rng = np.random.default_rng(0)
    ground = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), SIDE, interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIDE)
    for number in range(90):
        frame = cv2.add(ground, rng.integers(0, 12, ground.shape, np.uint8))
        cv2.circle(frame, (100 + 12 * number, 360), 150, (40, 200, 240), -1)
        writer.write(frame)
    writer.release()


def shown(film: Path, options: argparse.Namespace, more: list[str], viewed: bool) -> list[dict[str, Any]]:
    """Return the demo's records of a number of pictures."""
    command = [sys.executable, "-m", "pipeline", "demo", "--source", str(film), "--json", "--port", "0"]
    command += ["--no-window", "--out", str(options.out), *more]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in demo.stderr or ():
            if line.startswith("page"):
                break
        else:
            raise SystemExit("the demo ended before it served its page")
        threading.Thread(target=list, args=(demo.stderr,), daemon=True).start()
        if viewed:
            address = line.split()[1] + "picture.mjpg"
            threading.Thread(target=_view, args=(address,), daemon=True).start()
        lines = islice(demo.stdout or (), LEFT_OUT, LEFT_OUT + options.pictures)
        return [record for record in map(json.loads, lines) if record["fresh"]]
    finally:
        demo.terminate()
        demo.communicate()


def _view(address: str) -> None:
    with urllib.request.urlopen(address) as pictures:  # noqa: S310 - of this machine
        while pictures.read(1 << 16):
            pass


if __name__ == "__main__":
    main()
