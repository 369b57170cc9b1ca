"""What `edgec diff` advises about logits that another program recorded, and that following it helps."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from pipeline.difference.judged import difference_of
from pipeline.difference.picture_source import PictureFiles
from pipeline.difference.saturating_sums import saturated
from pipeline.difference.side import Array, Pictures, Side, graph_logits, graph_side
from pipeline.models.input_form import usual_forms
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.difference.small_pair import SIDE, Pair

RECIPE = "w8a8_asym_mse_bc"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> PictureFiles:
    folder = tmp_path_factory.mktemp("photos")
    for number, picture in enumerate(pair.pictures[:2]):
        cv2.imwrite(str(folder / f"{number}.png"), picture[:, :, ::-1])
    return PictureFiles(Preprocessing(SIDE, SIDE, 3), tuple(sorted(folder.iterdir())))


def recorded(logits: Array) -> Side:
    return Side("logits.npy", lambda pictures: logits[: len(pictures)], None, None)


def compared(pair: Pair, source: PictureFiles, seen: Pictures) -> DifferenceReport:
    model = pair.float_model
    logits = graph_logits(model, np.ascontiguousarray(seen))
    pictures = source.pictures(source.used)
    return difference_of(graph_side(model, "a"), recorded(logits), pictures, source=source)


PROGRAMS: dict[str, Callable[[Pictures], Pictures]] = {
    "Give both programs RGB.": lambda pictures: pictures[..., ::-1],
    "Use the same orientation in both.": lambda pictures: pictures[:, :, ::-1],
}


@pytest.mark.parametrize("words", PROGRAMS)
def test_the_same_pictures_in_both_programs_help(words: str, pair: Pair, source: PictureFiles) -> None:
    pictures = source.pictures(source.used)
    assert [one.remedy for one in compared(pair, source, PROGRAMS[words](pictures)).faults] == [words]
    assert compared(pair, source, pictures).verdict is Sameness.IDENTICAL


def large(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a Q/DQ network with weights of two layers at the ends of 8 bits, whose 16-bit sums saturate."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype == np.int8 and values.ndim == 4 and tensor.name.startswith(("two", "down")):
            ends = np.where(values < 0, -127, 127).astype(np.int8)
            tensor.CopyFrom(onnx.numpy_helper.from_array(ends, tensor.name))
    return changed


def test_exact_sums_help(pair: Pair) -> None:
    graph = graph_side(large(pair.quantised[RECIPE]), "graph")
    assert graph.graph is not None
    both = saturated(graph.graph, pair.pictures)
    assert both is not None
    (fault,) = difference_of(graph, recorded(both[1]), pair.pictures).faults
    assert fault.remedy.startswith(
        "Run it with exact sums (onnxruntime: session.x64quantprecision=1) or on a processor with VNNI, or"
    )
    assert difference_of(graph, recorded(graph.logits(pair.pictures)), pair.pictures).faults == ()


def test_both_networks_show_where_they_differ(pair: Pair) -> None:
    """Their tensors are compared then; of logits alone there is nothing to look into."""
    shown = pair.pictures[:2]
    a, b = graph_side(pair.float_model, "a"), graph_side(pair.quantised[RECIPE], "b")
    noise = np.random.default_rng(0).normal(0, 1, (len(shown), 6)).astype(np.float32)
    alone = replace(recorded(b.logits(shown) + noise), name="b.npy")
    found = difference_of(a, alone, shown)
    notes = "b.npy: only the outputs can be compared. Give the network itself to look inside."
    assert notes in found.notes
    assert found.tensors == ()
    assert difference_of(a, b, shown).tensors


def of_imagenet(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network that takes its pictures with ImageNet's mean and std, from 0 to 255."""
    (form,) = (one for one in usual_forms(3) if one.name.startswith("ImageNet") and one.colors == "RGB")
    values = {"mean": 255 * np.array(form.mean), "scale": 1 / (255 * np.array(form.std))}
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for one in changed.graph.initializer:
        if one.name in values:
            one.CopyFrom(onnx.numpy_helper.from_array(values[one.name].astype(np.float32), one.name))
    return changed


def test_the_same_mean_and_std_in_both_help(pair: Pair, source: PictureFiles) -> None:
    pictures, theirs = source.pictures(source.used), of_imagenet(pair.float_model)

    def found(model: onnx.ModelProto) -> DifferenceReport:
        b = recorded(graph_logits(theirs, pictures))
        return difference_of(graph_side(model, "a"), b, pictures, source=source)

    words = "Use the mean and std that the network was trained with in both."
    assert [one.remedy for one in found(pair.float_model).faults] == [words]
    assert found(theirs).verdict is Sameness.IDENTICAL


def test_preparing_them_as_the_lines_say_helps(pair: Pair, tmp_path: Path) -> None:
    """The recording program squeezes pictures that are twice as wide as they are high."""
    rng = np.random.default_rng(6)
    for number in range(2):
        coarse = rng.integers(0, 256, (8, 16, 3)).astype(np.uint8)
        wide = cv2.resize(coarse, (4 * SIDE, 2 * SIDE), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / f"{number}.png"), wide)
    files = tuple(sorted(tmp_path.iterdir()))
    squeezed = Preprocessing(SIDE, SIDE, 3, fit="stretch")
    logits = graph_logits(pair.float_model, PictureFiles(squeezed, files).pictures(squeezed))

    def found(used: Preprocessing) -> DifferenceReport:
        pictures = PictureFiles(used, files)
        side = graph_side(pair.float_model, "a")
        return difference_of(side, recorded(logits), pictures.pictures(used), source=pictures)

    (fault,) = found(Preprocessing(SIDE, SIDE, 3)).faults
    assert fault.remedy.startswith("Prepare them alike: edgec does this with ")
    lines = fault.remedy.removeprefix("Prepare them alike: edgec does this with ").removesuffix(".")
    said = tomllib.loads("\n".join(lines.split(", ")))
    assert found(Preprocessing(SIDE, SIDE, 3, **said)).verdict is Sameness.IDENTICAL
