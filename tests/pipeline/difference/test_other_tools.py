"""Other tools' files as sides: their normalisation is found, and the difference is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import pytest

from pipeline.difference.judged import difference_of
from pipeline.difference.opened_side import opened_side
from pipeline.difference.picture_preparation import prepared
from pipeline.difference.side import Side, Unprepared, graph_side
from pipeline.errors import CheckpointError
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from tests.pipeline.difference.foreign_files import (
    behind_normalisation,
    quantise_with_onnxruntime,
    write_tflite,
)
from tests.pipeline.difference.small_pair import network, pictures

PICTURES = pictures(8)
SAME = (Sameness.IDENTICAL, Sameness.ARITHMETIC)


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return network(resizes=False)


@contextmanager
def opened(path: Path) -> Iterator[Side | Unprepared]:
    with opened_side(path) as side:
        yield side


def compared(model: onnx.ModelProto, path: Path) -> DifferenceReport:
    with opened(path) as other:
        return difference_of(*prepared(graph_side(model, "A"), other, PICTURES), PICTURES, every_tensor=True)


@pytest.mark.parametrize(("bgr", "last"), [(False, False), (True, False), (False, True)])
def test_the_preparation_of_pictures_is_found_by_trying(
    bgr: bool, last: bool, model: onnx.ModelProto, tmp_path: Path
) -> None:
    found = compared(model, behind_normalisation(model, tmp_path / "theirs.onnx", bgr=bgr, last=last))
    assert found.verdict in SAME
    assert not found.faults
    (note,) = (note for note in found.notes if "Found by trying" in note)
    assert ("that of A, BGR" in note) == bgr
    assert "NHWC" in note if last else "NCHW" in note


def test_a_description_states_the_preparation_and_is_at_fault_if_it_is_wrong(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    path = behind_normalisation(model, tmp_path / "theirs.onnx")
    numbers = "mean = [0.470588, 0.450980, 0.411765]\nstd = [0.235294, 0.227451, 0.223529]\n"
    (tmp_path / "theirs.toml").write_text(numbers)
    assert compared(model, path).verdict in SAME

    (tmp_path / "theirs.toml").write_text("mean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\n")
    found = compared(model, path)
    assert (found.verdict, found.faults[0].kind) == (Sameness.DIFFERENT, "normalisation")


def test_where_no_usual_preparation_fits_the_picture_is_still_solved_for(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    strange = onnx.ModelProto()
    strange.CopyFrom(model)
    for tensor in strange.graph.initializer:
        if tensor.name == "stem.w":
            order = onnx.numpy_helper.to_array(tensor)[:, [1, 2, 0]].copy()
            tensor.CopyFrom(onnx.numpy_helper.from_array(order, "stem.w"))
    found = compared(model, behind_normalisation(strange, tmp_path / "theirs.onnx"))
    assert found.faults[0].kind == "channel order of the picture"
    assert any("None of" in note for note in found.notes)


def test_two_files_that_say_nothing_get_the_same_pictures(model: onnx.ModelProto, tmp_path: Path) -> None:
    with (
        opened(behind_normalisation(model, tmp_path / "one.onnx")) as one,
        opened(behind_normalisation(model, tmp_path / "two.onnx", last=True)) as two,
    ):
        a, b = prepared(one, two, PICTURES)
    assert difference_of(a, b, PICTURES).verdict in SAME
    assert "edgec doctor" in a.notes[0]


def test_a_relu_that_onnxruntime_folds_into_a_range_is_not_a_missing_activation(
    model: onnx.ModelProto, tmp_path: Path
) -> None:
    path = behind_normalisation(model, tmp_path / "theirs.onnx")
    quantise_with_onnxruntime(path, tmp_path / "quantised.onnx", PICTURES)
    found = compared(model, tmp_path / "quantised.onnx")
    assert (found.verdict, found.faults) == (Sameness.ROUNDING, ())


class TestTflite:
    """.tflite files; without LiteRT (edgec[tflite]) they are refused with what to install."""

    @pytest.fixture(autouse=True)
    def _litert(self) -> None:
        pytest.importorskip("ai_edge_litert", reason="pip install 'edgec[tflite]'")

    def test_a_converted_network_is_the_same_rounded(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        found = compared(model, write_tflite(model, PICTURES, tmp_path / "theirs.tflite"))
        assert (found.verdict, found.faults) == (Sameness.ROUNDING, ())
        assert any("that of A" in note for note in found.notes)
        assert any("tensors of its interpreter agree" in note for note in found.notes)

    def test_a_missing_bias_is_named_at_its_layer(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        found = compared(model, write_tflite(model, PICTURES, tmp_path / "theirs.tflite", no_bias="one"))
        assert [(fault.kind, fault.place) for fault in found.faults] == [("bias", "one")]

    def test_a_range_that_clips_is_named(self, model: onnx.ModelProto, tmp_path: Path) -> None:
        found = compared(model, write_tflite(model, PICTURES, tmp_path / "theirs.tflite", clip=0.2))
        assert "clipped range" in {fault.kind for fault in found.faults}

    @pytest.mark.parametrize("damage", ["words", "short", "shifted", "empty"])
    def test_a_damaged_file_is_refused(self, damage: str, model: onnx.ModelProto, tmp_path: Path) -> None:
        path = write_tflite(model, PICTURES, tmp_path / "theirs.tflite")
        content = bytearray(path.read_bytes())
        changed = {
            "words": b"not a network",
            "short": bytes(content[: len(content) // 3]),
            "shifted": bytes(content[:40]) + b"\xff" * 64 + bytes(content[104:]),
            "empty": b"",
        }
        path.write_bytes(changed[damage])
        with pytest.raises(CheckpointError, match=r"theirs\.tflite"), opened(path):
            pass


def test_without_litert_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import extras

    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    (tmp_path / "theirs.tflite").write_bytes(b"")
    with (
        pytest.raises(extras.MissingExtraError, match="edgec\\[tflite\\]"),
        opened(tmp_path / "theirs.tflite"),
    ):
        pass


def test_pictures_that_the_test_uses_tell_classes_apart(model: onnx.ModelProto) -> None:
    assert len(np.unique(graph_side(model, "A").logits(PICTURES).argmax(1))) > 1


@pytest.mark.parametrize("suffix", [".pth", ".th"])
def test_a_checkpoint_is_known_by_its_name(suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(b"")
    with pytest.raises(CheckpointError), opened(tmp_path / f"weights{suffix}"):
        pass
