"""What the doctor's findings, reports of pictures and next steps advise."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from pipeline.config import BuildConfig, load_config
from pipeline.data_readiness import data_findings
from pipeline.errors import CheckpointError
from pipeline.models.keras import read_keras
from pipeline.models.weights.content import read_content
from pipeline.models.zoo import find_model
from pipeline.progress import Silent
from pipeline.readiness import findings
from pipeline.report.from_measurement import latency_of
from pipeline.report.gates import drop_gate
from pipeline.report.latency_gates import LatencyLimits
from pipeline.report.model.certainty import Verdict
from pipeline.report.next_steps import with_next_step
from targets.base import Origin
from targets.runtime.preprocess import ImageError, decode
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import class_folders, write_folder
from tests.pipeline.report.samples import accuracy, measurement
from tests.targets.runtime import bomb_pictures

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


def lab_tiff() -> bytes:
    """Return an uncompressed TIFF whose colours are said to be Lab (photometric 8)."""
    height, width, samples = PIXELS.shape
    fields = {256: width, 257: height, 258: 0, 259: 1, 262: 8, 273: 8, 277: samples, 278: height}
    fields |= {279: PIXELS.size}
    at = 8 + PIXELS.size
    bits = at + 2 + 12 * len(fields) + 4
    file = b"II*\0" + struct.pack("<I", at) + PIXELS.tobytes() + struct.pack("<H", len(fields))
    for tag, value in fields.items():
        file += struct.pack("<HHII", tag, 3, samples, bits) if tag == 258 else b""
        file += struct.pack("<HHIHH", tag, 3, 1, value, 0) if tag != 258 else b""
    return file + bytes(4) + struct.pack("<3H", 8, 8, 8)


PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a PFM picture has float numbers of no stated range; save it as PNG": (
        lambda: b"PF\n1 1\n-1.0\n" + bytes(12),
        ".png",
    ),
    "a PAM picture, whose colours OpenCV mixes up; save it as PNG": (
        lambda: b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n123",
        ".png",
    ),
    "a TIFF in Lab colours, which programs convert differently; save it in RGB": (lab_tiff, ".tiff"),
    "not that of a PNM picture: size, largest number, then a space; save it as PNG": (
        lambda: b"P6\n1 1x20\n\x14\0\0",
        ".png",
    ),
    ", which OpenCV does not scale to white; save it as PNG": (lambda: b"P6\n1 1\n20\n\x14\0\0", ".png"),
    "is cut off, or has no line break at its end; save it as PNG": (
        lambda: b"P3\n1 1\n255\n1 2 3",
        ".png",
    ),
    "pixels. Save it smaller, or as JPEG or PNG": (lambda: bomb_pictures.gif(8192, 8192), ".jpg"),
}


@pytest.mark.parametrize("words", PICTURES)
def test_a_picture_in_the_other_form_is_read(words: str) -> None:
    made, ending = PICTURES[words]
    given = [made()]
    saved = cv2.imencode(ending, PIXELS[:, :, ::-1])[1].tobytes()
    check_advice(words, lambda: decode(given[-1], 3), lambda: given.append(saved), ImageError)


FOLDERS: dict[str, tuple[str, Callable[[], dict[str, bytes]], Callable[[], dict[str, bytes]]]] = {
    "add pictures in a folder test: a build validates with them": (
        "evaluation",
        lambda: class_folders(train=4),
        lambda: class_folders(train=4, test=4),
    ),
    "add pictures in a folder train or calibration: a build finds its ranges with them": (
        "calibration",
        lambda: class_folders(test=4),
        lambda: class_folders(test=4, calibration=4),
    ),
}


def finding(folder: Path, role: str) -> tuple[bool | None, str]:
    (found,) = (one for one in data_findings(folder, Silent()) if one.what == f"pictures for {role}")
    return found.fine, found.advice


@pytest.mark.parametrize("words", FOLDERS)
def test_pictures_in_the_folder_that_is_named_help(words: str, tmp_path: Path) -> None:
    role, before, after = FOLDERS[words]
    folder = write_folder(tmp_path / "data", before())
    assert finding(folder, role) == (False, words)
    write_folder(folder, after())
    assert finding(folder, role) == (True, "")


def test_keeping_a_picture_in_one_class_helps(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", class_folders(train=4, test=4))
    copy = folder / "test" / "birch" / "copy.png"
    copy.write_bytes((folder / "test" / "ash" / "000.png").read_bytes())
    fine, advice = finding(folder, "evaluation")
    assert fine is None
    assert " in two classes, and one of them is wrong: " in advice
    assert advice.endswith(". Keep each in one.")
    copy.unlink()
    assert finding(folder, "evaluation") == (True, "")


def test_another_folder_for_outputs_helps(tmp_path: Path) -> None:
    def disk(out: Path) -> tuple[bool | None, str]:
        (found,) = (one for one in findings(out) if one.what.startswith("disk"))
        return found.fine, found.advice

    (tmp_path / "file").touch()
    assert disk(tmp_path / "file" / "out") == (False, "choose another folder with --out")
    assert disk(tmp_path / "out")[1] != "choose another folder with --out"


OTHERS = {
    "a NumPy array, not weights. Name the file of weights": b"\x93NUMPY\x01\0" + bytes(64),
    "a web page, not weights: the download was refused or asked for a log-in. Download it again": (
        b"<!DOCTYPE html><html>"
    ),
    " is text, not weights. Name the file of weights.": b"My weights are elsewhere, ask me.",
}


@pytest.mark.parametrize("words", OTHERS)
def test_the_file_of_weights_itself_helps(words: str, tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    file.write_bytes(OTHERS[words])
    check_advice(
        words,
        lambda: read_content(file),
        lambda: torch.save({"conv.weight": torch.zeros(2, 2, 1, 1)}, file),
        CheckpointError,
    )


def test_the_ending_of_an_older_keras_file_helps(tmp_path: Path) -> None:
    given = [tmp_path / "w.pt"]
    with h5py.File(given[0], "w") as weights:
        weights["conv1_conv/kernel"] = np.zeros(4, np.float32)

    def attempt() -> object:
        return (read_keras if given[-1].suffix == ".h5" else read_content)(given[-1])

    words = "a Keras file; give its name the ending .h5"
    check_advice(words, attempt, lambda: given.append(given[0].rename(tmp_path / "w.h5")), CheckpointError)


def test_as_many_images_as_the_next_step_names_decide_a_gate() -> None:
    few = accuracy(images=80, noise=0.1)
    gate = drop_gate(few.top1, 1.0, Origin.HOST)
    said = with_next_step(gate, few, None).next_step
    found = re.fullmatch(r"Add ([\d,]+)(.* the 80, or set )max_drop = ([\d.]+)( under .*)\.", said)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert found is not None
    assert found[2] == " evaluation images to the 80, or set "
    assert found[4] == " under [validation], which these images do decide"
    more = accuracy(images=80 + int(found[1].replace(",", "")), noise=0.1)
    assert drop_gate(more.top1, 1.0, Origin.HOST).verdict is not Verdict.INCONCLUSIVE
    assert drop_gate(few.top1, float(found[3]), Origin.HOST).verdict is Verdict.PASS


def test_more_threads_and_a_smaller_network_are_settings_of_a_build() -> None:
    """It named --threads, which no command that builds has."""
    latency = latency_of(measurement(milliseconds=5.0, runs=500), Origin.HOST, threads=1)
    (gate,) = LatencyLimits(p90_ms=1.0, judge="model").gates(latency, None)
    said = with_next_step(gate, accuracy(), None).next_step
    assert said.startswith("Set threads under [latency], such as threads = 2, or take a smaller network")
    found = re.fullmatch(r".*such as threads = (\d), .* \(([\w-]+)\)\.", said)
    assert found is not None
    chosen = load_config(BuildConfig, None, {"latency.threads": int(found[1]), "model": found[2]})
    assert chosen.latency.threads == 2
    assert find_model(str(chosen.model)).name == found[2]
