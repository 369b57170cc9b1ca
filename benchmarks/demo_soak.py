"""Observes the camera demo for ten minutes at full speed: memory, threads, latency, drops.

    python -m benchmarks.demo_soak --minutes 10 --out /tmp/soak

The demo runs as its user runs it, on a film that is read as fast as it can be, with a viewer of its page and
a reader of its lines. Each line of the output is one observation; the last one says how much memory grew.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np

SIDE = (640, 480)


def main() -> None:
    """Run the demo and observe it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--every", type=float, default=30, help="seconds between observations")
    parser.add_argument("--port", type=int, default=8191)
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--target", default="host")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    film = _film(options.out / "soak.avi")
    command = [sys.executable, "-m", "pipeline", "demo", "--source", str(film), "--unpaced", "--json"]
    command += [
        "--port",
        str(options.port),
        "--no-window",
        "--out",
        str(options.out),
        "--target",
        options.target,
    ]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    lines = DemoLines(demo)
    _wait_for_the_page(demo)
    threading.Thread(
        target=_view, args=(f"http://127.0.0.1:{options.port}/picture.mjpg",), daemon=True
    ).start()
    columns = ("minute", "MiB", "threads", "lines read", "captured", "dropped", "end to end ms")
    print(*(f"{name:>13}" for name in columns))
    sizes = []
    begun = time.monotonic()
    while time.monotonic() - begun < 60 * options.minutes and demo.poll() is None:
        time.sleep(options.every)
        size, threads = _status(demo.pid)
        sizes.append(size)
        record = lines.last
        minute = (time.monotonic() - begun) / 60
        numbers = (
            minute,
            size,
            threads,
            lines.count,
            record["captured"],
            record["dropped"],
            record["end_to_end_ms"],
        )
        print(*(f"{number:13.1f}" for number in numbers), flush=True)
    demo.terminate()
    code = demo.wait(300)
    print(f"from the second observation to the last: {sizes[-1] - sizes[1]:+.1f} MiB; exit code {code}")


class DemoLines:
    """Reads the demo's lines as they come."""

    def __init__(self, demo: "subprocess.Popen[str]") -> None:
        self.count = 0
        self.last = {"captured": 0, "dropped": 0, "end_to_end_ms": float("nan")}
        self._demo = demo
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in self._demo.stdout or ():
            self.count += 1
            self.last = json.loads(line)


def _film(path: Path) -> Path:
    """Write three seconds of noise and shapes."""
    random = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, SIDE)
    for number in range(90):
        frame = random.integers(0, 80, (SIDE[1], SIDE[0], 3), np.uint8)
        cv2.circle(frame, (40 + 6 * number, 240), 90, (40, 200, 240), -1)
        writer.write(frame)
    writer.release()
    return path


def _wait_for_the_page(demo: "subprocess.Popen[str]") -> None:
    for line in demo.stderr or ():
        if line.startswith("page"):
            threading.Thread(target=list, args=(demo.stderr,), daemon=True).start()
            return
    raise SystemExit("the demo ended before it served its page")


def _view(url: str) -> None:
    with urllib.request.urlopen(url) as pictures:  # noqa: S310 - of this machine
        while pictures.read(1 << 16):
            pass


def _status(pid: int) -> tuple[float, int]:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024, int(text.split("Threads:")[1].split()[0])


if __name__ == "__main__":
    main()
