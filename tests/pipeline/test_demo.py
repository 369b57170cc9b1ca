"""The camera demo as its user meets it: a process, a page in a real browser, lines for other programs."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import pytest

from pipeline.data.embedded import EMBEDDED
from tests.browser import Browser, browser
from tests.conftest import ROOT
from tests.pipeline.report.rendered_page import in_a_browser

CLASSES = {1: "Trouser", 8: "Bag", 9: "Ankle boot"}
"""What the film shows, each for a second; pictures that the embedded model gets right."""
PATIENCE = 300
"""Seconds after which something hangs, on the busiest machine."""


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images, labels = (
        np.frombuffer(gzip.decompress((EMBEDDED / name).read_bytes()), np.uint8)
        for name in ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    )
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20, (320, 240))
    assert writer.isOpened()
    for number in CLASSES:
        digit = images[16:].reshape(-1, 28, 28)[np.flatnonzero(labels[8:] == number)[0]]
        frame = np.zeros((240, 320, 3), np.uint8)
        frame[8:232, 48:272] = cv2.resize(digit, (224, 224), interpolation=cv2.INTER_CUBIC)[:, :, None]
        for _ in range(20):
            writer.write(frame)
    writer.release()
    return path


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


Demo = Callable[..., "subprocess.Popen[str]"]


def next_line(stream: IO[str]) -> str:
    """Read a line and nothing beyond it: `communicate` would not give what a file object has read ahead."""
    found = b""
    while not found.endswith(b"\n") and (one := os.read(stream.fileno(), 1)):
        found += one
    return found.decode()


@pytest.fixture
def demo(quick: Path, out: Path, film: Path, port: int) -> Iterator[Demo]:
    """Start the demo on the film; it has ended when the test has."""
    running: list[subprocess.Popen[str]] = []

    def start(*more: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "pipeline", "demo", "--config", str(quick), "--out", str(out)]
        command += ["--port", str(port), "--no-window", *more]
        command += [] if "--source" in more else ["--source", str(film)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stderr
        while line := next_line(process.stderr):
            if line.startswith("page"):
                return process
        raise AssertionError("the demo ended before it served its page")

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Browser]:
    with browser(tmp_path / "profile") as opened:
        yield opened


LABEL = "document.querySelector('#classes li:first-child span')?.textContent"
STATE = "document.getElementById('state').textContent"


def shows(name: str) -> str:
    return f"{LABEL} === {json.dumps(name)}"


@in_a_browser
def test_the_page_shows_the_right_labels_as_the_film_goes_on(demo: Demo, tab: Browser, port: int) -> None:
    demo()
    tab.open(f"http://127.0.0.1:{port}/")
    for name in (*CLASSES.values(), *CLASSES.values()):
        tab.wait_for(shows(name))
    assert tab.wait_for("document.getElementById('picture').naturalWidth") == 320
    assert tab.problems == []


@in_a_browser
def test_the_picture_on_the_page_moves(demo: Demo, tab: Browser, port: int) -> None:
    demo()
    tab.open(f"http://127.0.0.1:{port}/")
    tab.wait_for("document.getElementById('picture').naturalWidth > 0")
    brightness = """(() => {
      const image = document.getElementById('picture');
      const canvas = Object.assign(document.createElement('canvas'), {width: 320, height: 240});
      const pen = canvas.getContext('2d');
      pen.drawImage(image, 0, 0);
      return pen.getImageData(0, 120, 320, 110).data.reduce((a, b) => a + b);
    })()"""
    seen: set[float] = set()
    deadline = time.monotonic() + PATIENCE
    while len(seen) < 3 and time.monotonic() < deadline:
        seen.add(round(tab.evaluate(brightness), -6))
        time.sleep(0.1)
    assert len(seen) >= 3


@in_a_browser
def test_precision_is_switched_on_the_page(demo: Demo, tab: Browser, port: int) -> None:
    demo()
    tab.open(f"http://127.0.0.1:{port}/")
    tab.wait_for(f"{LABEL} !== undefined")
    tab.wait_for("document.querySelector('input[value=int8]').checked")
    tab.evaluate("document.querySelector('input[value=fp32]').click()")
    tab.wait_for("document.getElementById('times').textContent.includes('model, FP32')")
    assert "model, INT8" in tab.evaluate("document.getElementById('times').textContent")
    assert tab.problems == []


@in_a_browser
def test_the_page_says_that_the_demo_is_gone_and_finds_it_again(demo: Demo, tab: Browser, port: int) -> None:
    first = demo()
    tab.open(f"http://127.0.0.1:{port}/")
    tab.wait_for(shows("Bag"))
    first.kill()
    first.wait()
    tab.wait_for(f"{STATE}.includes('does not answer')")
    demo()
    tab.wait_for(f"!{STATE}.includes('does not answer')")
    for name in CLASSES.values():
        tab.wait_for(shows(name))
    tab.wait_for("document.getElementById('picture').naturalWidth > 0")


@in_a_browser
def test_the_page_fits_each_screen_and_has_no_barrier(demo: Demo, tab: Browser, port: int) -> None:
    demo()
    tab.open(f"http://127.0.0.1:{port}/")
    tab.wait_for("document.querySelectorAll('#times tr').length === 4")
    for width, scheme in ((360, "light"), (768, "light"), (1440, "dark")):
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        tab.call("Emulation.setDeviceMetricsOverride", **metrics)
        assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        if width != 768:
            assert tab.barriers() == []


def test_each_picture_is_one_line_of_json(demo: Demo) -> None:
    process = demo("--json", "--once")
    output, _ = process.communicate(timeout=PATIENCE)
    records = [json.loads(line) for line in output.splitlines()]
    names = [record["classes"][0]["name"] for record in records]
    assert list(dict.fromkeys(names)) == list(CLASSES.values())
    assert all(record["precision"] == "int8" for record in records)
    parts = ("decode_ms", "preprocess_ms", "model_ms")
    assert all(record[part] > 0 for record in records for part in parts)
    assert all(sum(record[part] for part in parts) <= record["end_to_end_ms"] for record in records)
    assert process.returncode == 0


@in_a_browser
def test_several_cameras_are_shown_and_recorded_until_the_last_one_ends(
    demo: Demo, film: Path, tab: Browser, port: int, tmp_path: Path
) -> None:
    photos = tmp_path / f"{'long' * 20}photos"
    photos.mkdir()
    cv2.imwrite(str(photos / "a.png"), np.full((20, 30, 3), 128, np.uint8))
    kept = tmp_path / "kept"
    recorded = ("--record-uncertain", str(kept), "--uncertain-below", "1", "--record-pictures", "2")
    process = demo("--source", str(film), "--source", str(photos), *recorded)
    tab.open(f"http://127.0.0.1:{port}/")
    tab.wait_for("document.querySelectorAll('#cameras button').length === 2")
    tab.wait_for("document.getElementById('device').textContent.includes('limit of 2 pictures')")
    tab.evaluate("document.querySelectorAll('#cameras button')[1].click()")
    tab.wait_for(f"{STATE}.endsWith('photos')")
    tab.wait_for("document.getElementById('picture').naturalWidth === 30")
    tab.call("Emulation.setDeviceMetricsOverride", width=360, height=800, deviceScaleFactor=1, mobile=True)
    tab.wait_for("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert tab.barriers() == []
    assert tab.problems == []
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert len(list((kept / "to-label").rglob("*.png"))) == 2


def test_lines_tell_the_pictures_of_all_cameras_and_one_without_a_picture_is_an_error(
    demo: Demo, film: Path, tmp_path: Path
) -> None:
    (tmp_path / "film.txt").write_text("no film")
    process = demo("--json", "--once", "--source", str(film), "--source", str(film))
    records = [json.loads(line) for line in process.communicate(timeout=PATIENCE)[0].splitlines()]
    for camera in range(2):
        names = [one["classes"][0]["name"] for one in records if one["camera"] == camera]
        assert list(dict.fromkeys(names)) == list(CLASSES.values())
    assert process.returncode == 0
    process = demo("--json", "--once", "--source", str(film), "--source", str(tmp_path / "film.txt"))
    assert process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 1


def test_a_film_that_gives_no_picture_is_an_error(demo: Demo, tmp_path: Path) -> None:
    film = tmp_path / "film.txt"
    film.write_text("no film")
    process = demo("--json", "--source", str(film))
    output, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output) == (1, "")
    assert "film.txt is not a video that OpenCV can read" in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_when_asked_to(demo: Demo, port: int, number: signal.Signals) -> None:
    process = demo()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/events", timeout=PATIENCE) as events:
        assert events.readline().startswith(b"data: ")
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Traceback" not in errors


def test_it_ends_although_its_camera_hangs_and_a_viewer_and_a_reader_do_not_go(
    demo: Demo, port: int, tmp_path: Path
) -> None:
    _, picture = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))
    (tmp_path / "one.jpg").write_bytes(picture.tobytes())
    camera = tmp_path / "camera"
    camera.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\ncat {tmp_path}/one.jpg\nexec sleep 300\n")
    camera.chmod(0o755)
    process = demo("--json", "--source", f"pipe:{camera}")
    with (
        urllib.request.urlopen(f"http://127.0.0.1:{port}/events", timeout=PATIENCE) as events,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/picture.mjpg", timeout=PATIENCE) as pictures,
    ):
        assert events.readline()
        assert pictures.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()  # the camera is free again


def test_it_ends_with_the_film_although_somebody_looks(demo: Demo, port: int) -> None:
    process = demo("--once", "--unpaced")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/picture.mjpg", timeout=PATIENCE) as pictures:
        assert pictures.readline()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_a_reader_that_has_seen_enough_ends_it(demo: Demo) -> None:
    process = demo("--json")
    assert process.stdout
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) == 0


def test_a_target_that_is_not_this_machine_is_refused(quick: Path, out: Path) -> None:
    command = [sys.executable, "-m", "pipeline", "demo", "--config", str(quick), "--out", str(out)]
    done = subprocess.run(
        [*command, "--target", "jetson"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "Deploy the bundle" in done.stderr


def resident(process: "subprocess.Popen[str]") -> int:
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.slow
def test_memory_stays_flat_at_full_speed(demo: Demo, port: int) -> None:
    """benchmarks/demo_soak.py does the same for ten minutes."""
    process = demo("--unpaced", "--json")
    assert process.stdout
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/events", timeout=PATIENCE) as events:
        assert events.readline()  # a viewer that then reads no more
        assert sum(1 for _ in islice(process.stdout, 300)) == 300
        before = resident(process)
        assert sum(1 for _ in islice(process.stdout, 1200)) == 1200
        assert resident(process) < before + (16 << 20)
