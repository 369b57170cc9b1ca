"""Logits that were recorded of pictures prepared in another way are explained by trying it."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from benchmarks.planted.planters import PLANTERS
from pipeline.difference.judged import difference_of
from pipeline.difference.opened_side import opened_side
from pipeline.difference.picture_source import PictureFiles
from pipeline.difference.resize_filter import FILTERS, ResizeFilter
from pipeline.difference.side import Array, Pictures, Side, graph_logits, graph_side
from pipeline.errors import UsageError
from pipeline.report.model.difference_report import DifferenceReport, Sameness
from targets.runtime.preprocess import Preprocessing
from targets.runtime.resize import Part
from tests.pipeline.difference.small_pair import SIDE, Pair
from tests.pipeline.golden.golden_pictures import oriented

BIG = (61, 83)
FLAGS = {
    "OpenCV's INTER_NEAREST": cv2.INTER_NEAREST,
    "OpenCV's INTER_LINEAR": cv2.INTER_LINEAR,
    "OpenCV's INTER_CUBIC": cv2.INTER_CUBIC,
    "OpenCV's INTER_AREA": cv2.INTER_AREA,
}


def of(name: str) -> ResizeFilter:
    return next(one for one in FILTERS if name in one.name)


@pytest.fixture(scope="module")
def photo() -> Pictures:
    rng = np.random.default_rng(4)
    coarse = rng.normal(0, 50, (13, 17, 3)) + np.array([130, 110, 90])
    large = cv2.resize(coarse, BIG[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(large + rng.normal(0, 25, large.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("size", [(24, 31), (100, 90)])
def test_filters_of_opencv_are_what_opencv_does(name: str, size: tuple[int, int], photo: Pictures) -> None:
    if name.endswith("AREA") and size[0] > BIG[0]:
        return  # OpenCV interpolates where a picture grows
    ours = of(name).resized(photo, *size, Part(0, 0, *size))
    theirs = cv2.resize(photo, size[::-1], interpolation=FLAGS[name])
    assert abs(ours.astype(int) - theirs.astype(int)).max() <= 1


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_filters_with_antialiasing_are_what_torch_does(mode: str, photo: Pictures) -> None:
    import torch

    planes = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    theirs = torch.nn.functional.interpolate(planes, (24, 31), mode=mode, antialias=True)[0].permute(1, 2, 0)
    ours = of(f"{mode} with antialiasing").resized(photo, 24, 31, Part(0, 0, 24, 31))
    assert abs(ours - theirs.clamp(0, 255).numpy()).max() <= 0.51


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, photo: Pictures) -> PictureFiles:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.roll(photo, 15 * number, 1)[:, :, ::-1])
    return PictureFiles(Preprocessing(SIDE, SIDE, 3), tuple(sorted(folder.iterdir())))


def compared(model: onnx.ModelProto, logits: Array, source: PictureFiles) -> DifferenceReport:
    recorded = Side("logits.npy", lambda pictures: logits[: len(pictures)], None, None)
    pictures = source.pictures(source.used)
    return difference_of(graph_side(model, "a"), recorded, pictures, source=source)


def squeezed(flag: int) -> Callable[[Pictures], Pictures]:
    return lambda photo: np.asarray(cv2.resize(photo, (SIDE, SIDE), interpolation=flag), np.uint8)


PROGRAMS = {
    "nearest (OpenCV": squeezed(cv2.INTER_NEAREST),
    "INTER_LINEAR": squeezed(cv2.INTER_LINEAR),
    "INTER_AREA": squeezed(cv2.INTER_AREA),
    "INTER_CUBIC": squeezed(cv2.INTER_CUBIC),
}


@pytest.mark.parametrize(
    ("words", "form"),
    [
        ("nearest (OpenCV", "float"),
        ("INTER_AREA", "w8a8_asym_mse_bc"),
        pytest.param("INTER_LINEAR", "w8a8_asym_mse_bc", marks=pytest.mark.slow),
        pytest.param("INTER_CUBIC", "float", marks=pytest.mark.slow),
    ],
)
def test_the_filter_of_the_recording_program_is_named(
    words: str, form: str, pair: Pair, source: PictureFiles
) -> None:
    from pipeline.data.picture_files import read_picture

    model = pair.float_model if form == "float" else pair.quantised[form]
    seen = np.stack([PROGRAMS[words](read_picture(one, 3)) for one in source.files])

    found = compared(model, graph_logits(model, seen), source)

    assert [fault.kind for fault in found.faults] == ["picture geometry"]
    assert words in found.faults[0].evidence


@pytest.mark.parametrize("fault", ["bgr", "limited range", "mirrored"])
def test_what_the_recording_program_does_to_pixels_is_named(
    fault: str, pair: Pair, source: PictureFiles
) -> None:
    changed = onnx.ModelProto()
    changed.CopyFrom(pair.float_model)
    PLANTERS[fault][1](changed, np.random.default_rng(0))
    pictures = source.pictures(source.used)

    found = compared(pair.float_model, graph_logits(changed, pictures), source)

    assert [one.kind for one in found.faults] == [PLANTERS[fault][0]]


@pytest.mark.parametrize("orientation", [2, 3, 6])
def test_a_program_that_ignores_exif_is_named(
    orientation: int, pair: Pair, photo: Pictures, tmp_path: Path
) -> None:
    """2 is mirrored, 3 upside down and 6 on its side: cameras and phones store pictures so."""
    for number in range(4):
        stored = cv2.imencode(".jpg", np.roll(photo, 15 * number, 1)[:, :, ::-1])[1].tobytes()
        (tmp_path / f"{number}.jpg").write_bytes(oriented(stored, orientation))
    source = PictureFiles(Preprocessing(SIDE, SIDE, 3), tuple(sorted(tmp_path.iterdir())))
    unturned = [
        cv2.imread(str(one), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION) for one in source.files
    ]
    seen = np.stack([source.used(np.ascontiguousarray(np.asarray(one)[:, :, ::-1])) for one in unturned])
    assert not np.array_equal(seen, source.pictures(source.used))

    found = compared(pair.float_model, graph_logits(pair.float_model, seen), source)

    assert [fault.kind for fault in found.faults] == ["picture geometry"]
    assert "not turned as their EXIF orientation says" in found.faults[0].evidence
    assert found.faults[0].remedy == "Apply the EXIF orientation where pictures are decoded."


def test_a_program_that_inverts_is_named(pair: Pair, source: PictureFiles) -> None:
    """Scanned digits are dark on white, the digits of MNIST white on dark."""
    seen = 255 - source.pictures(source.used)

    found = compared(pair.float_model, graph_logits(pair.float_model, seen), source)

    assert [fault.kind for fault in found.faults] == ["normalisation"]
    assert "inverted" in found.faults[0].evidence
    assert any("Give the network itself" in note for note in found.notes)


def test_a_program_that_decodes_gray_is_named(pair: Pair, source: PictureFiles) -> None:
    gray = [cv2.imread(str(one), cv2.IMREAD_GRAYSCALE) for one in source.files]
    seen = np.stack([source.used(np.repeat(np.asarray(one)[:, :, None], 3, 2)) for one in gray])

    found = compared(pair.float_model, graph_logits(pair.float_model, seen), source)

    assert [fault.kind for fault in found.faults] == ["channel order of the picture"]
    assert "as gray in three channels" in found.faults[0].evidence


def test_two_mistakes_of_one_program_are_both_named(pair: Pair, source: PictureFiles) -> None:
    from pipeline.data.picture_files import read_picture

    seen = np.stack([squeezed(cv2.INTER_AREA)(read_picture(one, 3))[..., ::-1] for one in source.files])

    found = compared(pair.float_model, graph_logits(pair.float_model, np.ascontiguousarray(seen)), source)

    assert {fault.kind for fault in found.faults} == {"picture geometry", "channel order of the picture"}


def test_rounding_alone_accuses_no_preparation(pair: Pair, source: PictureFiles) -> None:
    pictures = source.pictures(source.used)
    for model in pair.quantised.values():
        found = compared(pair.float_model, graph_logits(model, pictures), source)
        assert (found.verdict, found.faults) == (Sameness.ROUNDING, ())


def test_other_weights_are_no_other_pictures(pair: Pair, source: PictureFiles) -> None:
    logits = np.random.default_rng(3).normal(0, 2, (4, 6)).astype(np.float32)
    assert compared(pair.float_model, logits, source).faults == ()


def test_a_folder_has_a_file_of_logits_for_each_picture(tmp_path: Path) -> None:
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((1, 5), number, np.float32))
    with opened_side(tmp_path) as side:
        assert isinstance(side, Side)
        assert side.logits(np.zeros((3, 8, 8, 3), np.uint8))[:, 0].tolist() == [0, 1, 2]
    np.save(tmp_path / "9.npy", np.zeros(6))
    with pytest.raises(UsageError, match="5 and 6 classes"), opened_side(tmp_path):
        pass
