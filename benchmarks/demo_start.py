"""How long from `make demo VIDEO=...` to the right labels on the page, and from Ctrl-C to its end?

    python -m benchmarks.demo_start --photos grocery_store_s160_q90.zip --out /tmp/start

A film of photos that the float model gets right, one of each of three classes, is shown with a new output
folder, and then again with the one that is there; a
headless Chromium looks. Each line of the output is one run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from pipeline.data.open import open_dataset
from pipeline.models.checkpoint import load_model
from pipeline.models.resnet import FromPixels
from pipeline.models.zoo import find_model, find_weights
from tests.browser import browser

MODEL = "resnet18-narrow2-grocery"
SHOWN = 3
"""Classes in the film, each for three seconds."""
SURE = 0.9
"""The probability that the float model must give to a photo in the film."""
LABEL = "document.querySelector('#classes li:first-child span')?.textContent"


def main() -> None:
    """Make the film, and show it twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8291)
    options = parser.parse_args()
    shutil.rmtree(options.out / "build", ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    names = make_film(options.photos, options.out / "film.avi")
    print(f"shown: {', '.join(names)}")
    columns = ("page served", "first label", "all labels", "to its end")
    print(f"{'output folder':14}", *(f"{name:>12}" for name in columns), " s")
    for folder in ("new", "built"):
        seconds = show(options, names)
        print(f"{folder:14}", *(f"{value:12.1f}" for value in seconds), flush=True)


def make_film(photos: Path, film: Path) -> list[str]:
    """Write 640 x 480 pictures, each class for three seconds at 10 a second; return the classes' names."""
    model = find_model(MODEL)
    split = open_dataset(photos, "coarse").split("evaluation").stratified(100, seed=0)
    network = load_model(model, find_weights(model), len(split.classes))
    sees = FromPixels(network, model.mean, model.std).eval()
    found: list[str] = []
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"MJPG"), 10, (640, 480))
    for batch in split.readable(model.preprocessing, 1):
        name = split.classes[int(batch.labels[0])]
        frame = np.full((480, 640, 3), 128, np.uint8)
        frame[30:450, 110:530] = cv2.resize(batch.images[0], (420, 420), interpolation=cv2.INTER_CUBIC)
        with torch.inference_mode():
            chances = sees(torch.from_numpy(model.preprocessing(frame)[None])).softmax(1)[0]
        if name in found or chances[int(batch.labels[0])] < SURE:
            continue
        found.append(name)
        for _ in range(30):
            writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
        if len(found) == SHOWN:
            break
    writer.release()
    return found


def show(options: argparse.Namespace, names: list[str]) -> list[float]:
    """Run `make demo` once; return seconds: to its page, to a right label, to all, from Ctrl-C to its end."""
    more = f"--labels coarse --out {options.out / 'build'} --port {options.port} --no-window"
    values = [f"VIDEO={options.out / 'film.avi'}", f"MODEL={MODEL}", f"DATA={options.photos}", f"ARGS={more}"]
    with browser(options.out / "profile") as tab:
        begun = time.monotonic()
        demo = subprocess.Popen(
            ["make", "demo", *values], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            times = [_until_served(demo) - begun]
            tab.open(f"http://127.0.0.1:{options.port}/")
            wanted = json.dumps(names)
            tab.wait_for(f"{wanted}.includes({LABEL})")
            times.append(time.monotonic() - begun)
            for name in names:
                tab.wait_for(f"{LABEL} === {json.dumps(name)}")
            times.append(time.monotonic() - begun)
            begun = time.monotonic()
            os.killpg(demo.pid, signal.SIGINT)
            demo.wait(60)
            return [*times, time.monotonic() - begun]
        finally:
            if demo.poll() is None:
                os.killpg(demo.pid, signal.SIGKILL)


def _until_served(demo: "subprocess.Popen[str]") -> float:
    said = []
    for line in demo.stderr or ():
        said.append(line)
        if line.startswith("page"):
            threading.Thread(target=list, args=(demo.stderr,), daemon=True).start()
            return time.monotonic()
    raise SystemExit(f"the demo ended before it served its page: {''.join(said[-5:])}")


if __name__ == "__main__":
    main()
