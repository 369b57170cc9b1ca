"""edgec report, targets, models, doctor and export list what there is, for people and as JSON."""

import json
from pathlib import Path

import onnxruntime
import pytest

from calibration.corrections import CORRECTIONS
from calibration.scheme import ObserverName, Scheme
from pipeline.models.zoo import KNOWN_MODELS
from pipeline.report.model.build_report import Report
from targets.registry import names
from tests.conftest import Edgec

COMMANDS = [
    *("build", "train", "export", "validate", "verify", "targets", "models", "recipes", "doctor"),
    *(
        "report show",
        "report compare",
        "baseline save",
        "baseline compare",
        "cache",
        "cache verify",
        "cache prune",
    ),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example(edgec: Edgec, command: str) -> None:
    done = edgec(*command.split(), "--help")
    assert done.returncode == 0
    assert f"Example: edgec {command}" in " ".join(done.stdout.split())


def test_the_program_alone_lists_its_commands(edgec: Edgec) -> None:
    done = edgec()
    assert all(command.split()[0] in done.stdout for command in COMMANDS)


def test_targets_and_models_are_listed(edgec: Edgec) -> None:
    assert [row["name"] for row in json.loads(edgec("targets", "--json").stdout)] == names()
    rows = json.loads(edgec("models", "--json").stdout)
    assert [row["name"] for row in rows] == [model.name for model in KNOWN_MODELS]
    table = edgec("targets").stdout
    assert all(name in table for name in names())
    assert "resnet152" in edgec("models").stdout


def test_the_words_of_recipes_are_listed(edgec: Edgec) -> None:
    rows = json.loads(edgec("recipes", "--json").stdout)
    words = [row["word"] for row in rows]
    assert words == [*Scheme, *ObserverName, *(one.word for one in CORRECTIONS)]
    assert next(row for row in rows if row["word"] == "bc")["needs"] == "images, moments"
    table = edgec("recipes").stdout
    assert all(word in table for word in words)


def test_doctor_finds_this_checkout_healthy(edgec: Edgec, tmp_path: Path) -> None:
    done = edgec("doctor", "--json", "--out", tmp_path)
    findings = json.loads(done.stdout)
    assert done.returncode == 0, findings
    assert {"Python", "packages", "target reference", "embedded data"} <= {one["what"] for one in findings}


def test_doctor_fails_where_nothing_can_be_written(edgec: Edgec, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for place in (Path("/proc/edgec"), tmp_path / "file", tmp_path / "loop"):
        done = edgec("doctor", "--out", place)
        assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("output", ["", "folder", "missing/x.onnx"])
def test_export_says_where_it_cannot_write(edgec: Edgec, out: Path, tmp_path: Path, output: str) -> None:
    (tmp_path / "folder").mkdir()
    done = edgec("export", "-o", tmp_path / output if output else "", "--out", out)
    assert done.returncode in (1, 2)
    assert "--output" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("**/.*")) == []


@pytest.mark.parametrize("form", ["resnet20-fashion-reference", "resnet20-fashion-reference.edgec"])
def test_a_report_is_shown_from_its_folder_or_bundle(
    edgec: Edgec, out: Path, form: str, tmp_path: Path
) -> None:
    done = edgec("report", "show", out / form, "--html", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert "top-1" in done.stdout
    html = (tmp_path / "r.html").read_text()
    latency_is_beside = "the report beside it has this figure" in html
    assert latency_is_beside == (form.endswith(".edgec"))
    (tmp_path / "report.json").write_text(edgec("report", "show", out / form, "--json").stdout)
    assert Report.load(tmp_path / "report.json").subject.model == "resnet20-fashion"


def test_reports_are_compared_side_by_side(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    two = out / "resnet20-fashion-reference", out / "resnet20-fashion-reference.edgec"
    done = edgec("report", "compare", *two, "--html", tmp_path / "both.html")
    assert done.returncode == 0, done.stderr
    assert "INT8 behind A's" in done.stdout
    assert "2 builds side by side" in (tmp_path / "both.html").read_text()
    assert len(json.loads(edgec("report", "compare", *two, "--json").stdout)) == 2


def test_one_report_cannot_be_compared(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    done = edgec(
        "report", "compare", out / "resnet20-fashion-reference.edgec", "--html", tmp_path / "both.html"
    )
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "from 2 to 8" in done.stderr


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken"])
def test_a_damaged_bundle_is_an_error(edgec: Edgec, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.edgec").write_bytes(content)
    done = edgec("report", "show", tmp_path / "x.edgec")
    assert done.returncode == 1
    assert "x.edgec" in done.stderr
    assert "Traceback" not in done.stderr


def test_export_writes_a_model_that_onnxruntime_loads(edgec: Edgec, out: Path, tmp_path: Path) -> None:
    done = edgec("export", "-o", tmp_path / "model.onnx", "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert 0 <= result["max_difference"] <= 1e-3
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [i.name for i in session.get_inputs()] == ["image"]
