"""A whole build of the embedded model: what it makes, what it repeats, what it survives."""

import gzip
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from pipeline.build.plan import Build
from pipeline.bundle.contents import opened
from pipeline.config import BuildConfig, load_config
from pipeline.data.embedded import EMBEDDED
from pipeline.data.open import open_dataset
from pipeline.progress import Silent
from pipeline.report.model.build_report import Report
from targets.reach import emulator
from tests.conftest import ROOT, Edgec, embedded_build
from tests.forked_program import ForkedProgram
from tests.pipeline.build_runs import ran, rebuilt
from tests.targets.needs import or_skip

STAGES = [
    *(
        "export",
        "calibrate",
        "quantize",
        "compile",
        "compare-splits",
        "answer",
        "validate",
        "report",
        "sample",
        "bundle",
    ),
    *("measure", "time", "report"),
]
FIRST = [*STAGES[:-3], "peer", *STAGES[-3:]]
"""The stages of a first build. Later ones have no `peer`, which depends only on the float model."""


def build_options(config: Path, out: Path) -> list[str]:
    return ["build", "--config", str(config), "--out", str(out)]


def test_it_leaves_a_report_and_a_bundle(out: Path) -> None:
    report = Report.load(out / "resnet20-fashion-reference" / "report.json")
    assert report.subject.evaluation_images == 300
    assert report.subject.calibration_images == 32
    assert (out / "resnet20-fashion-reference.edgec").is_file()
    assert (out / "resnet20-fashion-reference" / "report.html").is_file()


def test_the_model_takes_pixels_in_opset_17_without_batch_norm(out: Path) -> None:
    model = onnx.load(out / "resnet20-fashion-reference" / "model.onnx")
    onnx.checker.check_model(model, full_check=True)
    (image,) = model.graph.input
    shape = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert (image.name, image.type.tensor_type.elem_type, shape) == (
        "image",
        onnx.TensorProto.UINT8,
        ["N", 32, 32, 1],
    )
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}


def test_the_bundle_holds_what_its_manifest_says(out: Path, tmp_path: Path) -> None:
    with tarfile.open(out / "resnet20-fashion-reference.edgec") as tar:
        tar.extractall(tmp_path, filter="data")
    folder = tmp_path / "resnet20-fashion-reference"
    manifest = json.loads((folder / "manifest.json").read_text())
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {"manifest.json"}
    assert found == set(manifest["files"])
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert {
        "labels.txt",
        "preprocessing.json",
        "evaluation.npz",
        "report.json",
        "report.html",
        "run",
        manifest["engine"],
    } <= found


def test_a_rebuild_runs_nothing_and_changes_nothing(edgec: Edgec, quick: Path, out: Path) -> None:
    files = [path for path in out.rglob("*") if path.is_file()]
    memory = {"code.json"}  # digests of our sources: other code that used the store may have replaced them
    moving = {"used", "users"}  # the time of last use, and signs of processes, which the next one sweeps
    before = {
        path: path.stat().st_mtime_ns
        for path in files
        if path.parent.name not in moving and path.name not in memory
    }
    assert ran(rebuilt(edgec, out, "--config", quick)) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_rebuild_loads_no_toolchain(quick: Path, out: Path) -> None:
    code = (
        "import sys\nfrom pipeline.cli.app import app\n"
        f"try: app(['build', '--config', {str(quick)!r}, '--out', {str(out)!r}])\nexcept SystemExit: pass\n"
        "sys.exit(', '.join({'torch', 'onnx', 'onnxruntime', 'tvm', 'scipy', 'cv2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_the_recipe_changes_only_what_follows_export(edgec: Edgec, quick: Path, out: Path) -> None:
    wanted = [stage for stage in STAGES[1:] if stage != "compare-splits"]
    assert ran(rebuilt(edgec, out, "--config", quick, "--recipe", "w8a8_sym")) == wanted


def test_one_other_calibration_image_runs_calibrate_and_what_follows(
    quick: Path, warm_out: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(EMBEDDED, tmp_path / "data")

    def runs() -> list[str]:
        build = Build(load_config(BuildConfig, quick, {"out": warm_out, "data": data}), Silent())
        assert build.lasting_report.path.is_file()
        return [step.stage for step in build.steps if not step.cached]

    assert "calibrate" not in runs()
    split = open_dataset(data).split("calibration")
    chosen = split.stratified(32, seed=0).samples[0].name
    change_image(data, int(chosen.split("[")[1].rstrip("]")))
    assert runs()[:1] == ["calibrate"]


def change_image(data: Path, index: int) -> None:
    """Invert one image of the embedded calibration file."""
    path = data / "calibration-images-idx3-ubyte.gz"
    raw = bytearray(gzip.decompress(path.read_bytes()))
    start = 16 + 784 * index
    raw[start : start + 784] = (255 - np.frombuffer(raw[start : start + 784], np.uint8)).tobytes()
    path.write_bytes(gzip.compress(bytes(raw)))


@pytest.mark.slow
def test_kill_nine_at_any_moment_leaves_a_state_from_which_the_next_build_succeeds(
    edgec: Edgec, quick: Path, tmp_path: Path
) -> None:
    moments = random.Random(0)
    for _ in range(6):
        edgec("build", "--config", quick, "--out", tmp_path / "out", killed_after=moments.uniform(0, 2.5))
    result = rebuilt(edgec, tmp_path / "out", "--config", quick)
    assert [step["stage"] for step in result["steps"]] == FIRST
    assert list((tmp_path / "out" / "store" / "scratch").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_told_to_end_takes_its_children_and_temporary_files_along(
    quick: Path, warm_out: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "tmp").mkdir()
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "tmp")}
    environment["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_GLOBAL_CACHE_DIR"]  # which outlives builds
    patient = tmp_path / "patient.toml"  # the signal comes while the child measures, however fast the machine
    patient.write_text(quick.read_text().replace("seconds = 0.2", "seconds = 60\nprecision = 1e-9"))
    # a shell lets what it runs in the background ignore Ctrl-C; a build in the foreground does not
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "pipeline",
        *build_options(patient, warm_out),
    ]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as builder:
        while not list((tmp_path / "tmp").glob("edgec-measure-*/images.npy")):
            assert builder.poll() is None
            time.sleep(0.05)
        time.sleep(0.3)  # the child is there
        builder.send_signal(number)
    assert builder.returncode == code
    left = [file.name for file in (tmp_path / "tmp").glob("edgec-*")]
    assert left == [f"edgec-{os.getuid()}"]  # the locks of this machine stay, since others may hold them
    assert list((warm_out / "store" / "scratch").iterdir()) == []
    assert str(tmp_path).encode() not in b"".join(command_lines())


def command_lines() -> list[bytes]:
    """The command lines of all processes; some end while they are read."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.append(file.read_bytes())
    return found


@pytest.mark.slow
def test_two_builds_at_once_agree_and_do_each_stage_once(
    forked_edgec: ForkedProgram, quick: Path, tmp_path: Path
) -> None:
    command = [*build_options(quick, tmp_path / "out"), "--json"]
    builders = [forked_edgec.start(command, ROOT) for _ in range(2)]
    results = [json.loads(builder.result().stdout) for builder in builders]
    assert results[0]["report"] == results[1]["report"]
    assert sorted(ran(results[0]) + ran(results[1])) == sorted(FIRST)


@pytest.mark.slow
def test_two_builds_with_other_settings_at_once_publish_one_of_the_two(
    forked_edgec: ForkedProgram, quick: Path, warm_out: Path
) -> None:
    command = build_options(quick, warm_out)
    recipes = ["w8a8_sym", "w8a8_asym"]
    builders = [forked_edgec.start([*command, "--recipe", recipe], ROOT) for recipe in recipes]
    assert [builder.result().returncode for builder in builders] == [0, 0]
    folder = warm_out / "resnet20-fashion-reference"
    report = Report.load(folder / "report.json")
    with opened(warm_out / "resnet20-fashion-reference.edgec") as bundle:
        packed = Report.parse(bundle.read("report.json"), "bundle")
    model = hashlib.sha256((folder / "model.int8.onnx").read_bytes()).hexdigest()
    assert (packed.subject, packed.accuracy) == (report.subject, report.accuracy)
    assert report.subject.int8_model_digest == model


SPY = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert not {"pipeline", "targets", "calibration", "torch", "onnx"} & set(sys.modules)
"""


def test_the_unpacked_bundle_classifies_without_the_project(out: Path, tmp_path: Path) -> None:
    with tarfile.open(out / "resnet20-fashion-reference.edgec") as tar:
        tar.extractall(tmp_path, filter="data")
    split = open_dataset(EMBEDDED).split("evaluation").subset(range(20))
    pictures = []
    for i in range(20):
        pictures.append(tmp_path / f"{i}.png")
        cv2.imwrite(str(pictures[-1]), split.images.decode(i, 1))
    program = tmp_path / "resnet20-fashion-reference" / "run"
    command = [sys.executable, "-c", SPY, str(program), "--json", *map(str, pictures)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    guesses = [json.loads(line)["classes"][0]["name"] for line in done.stdout.splitlines()]
    right = [split.classes[label] == guess for label, guess in zip(split.labels, guesses, strict=True)]
    assert sum(right) >= 16


@pytest.fixture
def unpacked(out: Path, tmp_path: Path) -> Path:
    with tarfile.open(out / "resnet20-fashion-reference.edgec") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path / "resnet20-fashion-reference"


def test_the_bundle_says_which_module_is_missing(unpacked: Path) -> None:
    command = [sys.executable, "-S", str(unpacked / "run"), "x.png"]  # without site-packages
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.match(r"run: \S+ has no module (numpy|cv2)\. Install it: ", done.stderr)


def test_the_bundle_s_output_may_be_cut_short(unpacked: Path) -> None:
    cv2.imwrite(str(unpacked / "x.png"), np.zeros((28, 28), np.uint8))
    command = [sys.executable, str(unpacked / "run"), *[str(unpacked / "x.png")] * 500]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout
        assert program.stderr
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 1


@pytest.mark.parametrize("wrong", [("--top", "0"), ("--threads", "-3"), ("--top", "x")])
def test_the_bundle_refuses_counts_that_are_none(unpacked: Path, wrong: tuple[str, str]) -> None:
    command = [sys.executable, str(unpacked / "run"), *wrong, "x.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not an integer from 1 on" in done.stderr


def test_a_changed_bundle_is_refused(out: Path, tmp_path: Path) -> None:
    with tarfile.open(out / "resnet20-fashion-reference.edgec") as tar:
        tar.extractall(tmp_path, filter="data")
    folder = tmp_path / "resnet20-fashion-reference"
    (folder / "labels.txt").write_text("changed")
    done = subprocess.run(
        [sys.executable, folder / "run", "x.png"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "labels.txt is not the file that was validated" in done.stderr


def test_a_model_for_one_image_at_a_time_builds_too(quick: Path, tmp_path: Path) -> None:
    config = tmp_path / "static.toml"
    config.write_text(quick.read_text() + "[export]\ndynamic_batch = false\n")
    made = embedded_build(config, tmp_path / "out")
    assert made.report.path.is_file()
    assert made.bundle.path.is_file()
    model = onnx.load(made.float_model.path)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1


def test_the_default_target_is_this_machine(
    edgec: Edgec, quick: Path, warm_out: Path, tmp_path: Path
) -> None:
    config = tmp_path / "host.toml"
    config.write_text(quick.read_text().replace('target = "reference"', ""))
    result = rebuilt(edgec, warm_out, "--config", config)
    assert result["report"]["subject"]["target"] == "host"
    assert result["report"]["latency_int8"]["origin"] == "host"


@pytest.mark.slow
def test_a_board_that_is_not_here_is_emulated_and_gets_no_latency(
    edgec: Edgec, quick: Path, warm_out: Path, tmp_path: Path
) -> None:
    or_skip(emulator.check)
    fewer = tmp_path / "fewer.toml"
    fewer.write_text(quick.read_text().replace("images = 300", "images = 50"))
    report = rebuilt(edgec, warm_out, "--config", fewer, "--target", "rpi5")["report"]
    assert report["accuracy"]["int8_origin"] == "emulator"
    assert report["latency_int8"]["kind"] == report["memory_int8"]["kind"] == "not measured"
    # what this machine takes for FP32 says nothing about a Pi
    assert report["latency_fp32"]["kind"] == report["memory_fp32"]["kind"] == "not measured"
    assert report["compared"] == []
    assert report["end_to_end"] is None
    assert report["instructions_int8"]["per_inference"] > 1_000_000
    assert "cortex-a76" in report["instructions_int8"]["machine"]
