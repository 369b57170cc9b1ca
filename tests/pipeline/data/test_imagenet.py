"""ImageNet as it is distributed: labels are the places of torchvision's outputs, however val is labelled."""

import logging
import re
from pathlib import Path

import pytest

from pipeline.data.dataset import Dataset
from pipeline.data.imagenet import FIRST, SOLUTION, TRUTHS
from pipeline.data.imagenet_classes import find_class, imagenet_classes, usual_names
from pipeline.data.numbered_classes import in_order
from pipeline.data.open import open_dataset
from pipeline.data.relabel import relabelled
from pipeline.errors import DataError, UsageError
from tests.pipeline.data.pictures import png, random_pixels, write_folder

PLACES = (65, 970, 230, 809, 516, 57, 334, 415, 674, 332)
"""The first lines of the list that Caffe's users have for val: places among outputs, from 0."""
WNIDS = [imagenet_classes()[place].wnid for place in PLACES]
VAL = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, len(PLACES) + 1)]
PICTURES = [png(picture) for picture in random_pixels(2 * len(PLACES))]
TRAIN = {f"train/{wnid}/{wnid}_1.JPEG": picture for wnid, picture in zip(WNIDS, PICTURES, strict=False)}
KIT = "\n".join(map(str, (*FIRST, *([1] * (50_000 - len(FIRST)))))).encode()
KAGGLE = "ImageId,PredictionString\n" + "".join(
    f"{name.removesuffix('.JPEG')},{wnid} 85 1 499 272 {wnid} 2 3 4 5 \n"
    for name, wnid in reversed(list(zip(VAL, WNIDS, strict=True)))
)


def flat(place: str = "val") -> dict[str, bytes]:
    return {f"{place}/{name}": picture for name, picture in zip(VAL, PICTURES[len(VAL) :], strict=True)}


def sorted_val() -> dict[str, bytes]:
    names = zip(VAL, WNIDS, PICTURES[len(VAL) :], strict=True)
    return {f"val/{wnid}/{name}": picture for name, wnid, picture in names}


def places(dataset: Dataset) -> list[int]:
    """Return the place among 1,000 outputs of each evaluation picture, in the order of their numbers."""
    split = in_order(dataset, "imagenet").split("evaluation")
    samples = sorted(split.samples, key=lambda sample: Path(sample.name).name)
    return [sample.label for sample in samples]


LAYOUTS = {
    "folders": TRAIN | sorted_val(),
    "the kit's list beside val": TRAIN | flat() | {TRUTHS[0]: KIT},
    "the unpacked kit": TRAIN | flat() | {f"ILSVRC2012_devkit_t12/data/{TRUTHS[0]}": KIT},
    "val alone": flat() | {TRUTHS[0]: KIT},
    "Kaggle": {
        **{f"ILSVRC/Data/CLS-LOC/{name}": content for name, content in (TRAIN | flat()).items()},
        "ILSVRC/Data/CLS-LOC/test/ILSVRC2012_test_00000001.JPEG": PICTURES[0],
        "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml": b"<annotation/>",
        "ILSVRC/ImageSets/CLS-LOC/val.txt": b"ILSVRC2012_val_00000001 1\n",
        SOLUTION: KAGGLE.encode(),
        "LOC_synset_mapping.txt": b"n01440764 tench, Tinca tinca\n",
    },
}


@pytest.mark.parametrize("files", LAYOUTS.values(), ids=LAYOUTS)
def test_each_layout_gives_the_labels_of_torchvision_and_the_usual_names(
    files: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        dataset = open_dataset(write_folder(tmp_path / "data", files))
    assert places(dataset) == list(PLACES)
    assert dataset.classes == tuple(imagenet_classes()[place].name for place in sorted(PLACES))
    assert "sea snake" in dataset.classes
    assert "read as ImageNet: 10 of its 1,000 classes" in caplog.text


def test_the_table_has_the_order_and_the_numbers_that_are_published() -> None:
    classes = imagenet_classes()
    assert [one.wnid for one in classes] == sorted({one.wnid for one in classes})
    assert sorted(one.kit_number for one in classes) == list(range(1, 1001))
    assert len({one.name for one in classes}) == 1000
    ends = [(one.wnid, one.name) for one in (classes[0], classes[134], classes[-1])]
    assert ends == [("n01440764", "tench"), ("n02012849", "crane bird"), ("n15075141", "toilet tissue")]
    numbers = {one.kit_number: one.place for one in classes}
    assert [numbers[number] for number in FIRST[: len(PLACES)]] == list(PLACES)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, r"10 pictures of ImageNet side by side, and no list.*LOC_val_solution\.csv"),
        ({TRUTHS[0]: "\n".join(map(str, PLACES)).encode()}, r"line 1 is 65, there it is 490.*another order"),
        ({TRUTHS[0]: KIT[:11]}, "has 3 lines; the development kit's has 50,000"),
        ({TRUTHS[0]: b"490\n1001\n"}, r"line 2 is '1001'; expected a class number from 1 to 1000"),
        ({TRUTHS[0]: b"a.JPEG 490\n"}, r"line 1 is 'a\.JPEG 490'"),
        (
            {SOLUTION: b"ImageId,PredictionString\nx,n99999999 1 2 3 4\n"},
            "line 2 names n99999999; expected one",
        ),
        ({SOLUTION: KAGGLE[: KAGGLE.index("ILSVRC2012_val_00000004")].encode()}, r"lacks \d pictures of val"),
        ({SOLUTION: b"x,n01440764 1\nx,n01443537 1\n"}, "line 2: x has two classes"),
        ({SOLUTION: b"\xff\xfe"}, "is damaged"),
    ],
)
def test_a_list_that_is_missing_damaged_or_in_another_order_is_refused(
    files: dict[str, bytes], told: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        open_dataset(write_folder(tmp_path / "data", TRAIN | flat() | files))


def test_folders_with_usual_names_get_the_places_of_outputs_if_that_is_said(tmp_path: Path) -> None:
    named = {find_class(wnid): wnid for wnid in WNIDS}
    files = sorted_val()
    for known, wnid in named.items():
        assert known is not None
        files = {re.sub(wnid, known.name.replace(" ", "_"), name): one for name, one in files.items()}
    dataset = open_dataset(write_folder(tmp_path / "data", files))
    assert in_order(dataset, None).classes == tuple(sorted(dataset.classes)), "someone's own ten classes"
    assert places(dataset) == list(PLACES)
    with pytest.raises(UsageError, match="classes that ImageNet does not name: ash, birch"):
        in_order(Dataset("x", ("ash", "birch"), {}), "imagenet")


def test_a_thousand_folders_in_alphabetical_order_are_asked_about() -> None:
    names = tuple(sorted(one.name for one in imagenet_classes()))
    with pytest.raises(UsageError, match=r'ImageNet\'s, sorted by name.*class_order = "imagenet"'):
        in_order(Dataset("x", names, {}), None)
    assert in_order(Dataset("x", names, {}), "imagenet").classes[0] == "tench"
    assert in_order(Dataset("x", names, {}), "text").classes == names


def test_other_folders_beside_those_of_imagenet_make_it_another_data_set(tmp_path: Path) -> None:
    files = {"train/n01440764/1.png": PICTURES[0], "train/mine/1.png": PICTURES[1]}
    assert open_dataset(write_folder(tmp_path / "data", files)).classes == ("mine", "n01440764")


def test_a_models_labels_may_be_wordnet_ids_and_a_name_of_two_classes_is_refused() -> None:
    ours = Dataset("x", ("goldfish", "crane"), {})
    wnids = ["background", "n01443537", "n03126707"]
    assert relabelled(ours, wnids, "net.onnx").classes == tuple(wnids)
    with pytest.raises(DataError, match=r"does not name: crane\."):
        relabelled(Dataset("x", ("n01443537", "crane"), {}), ["goldfish", "crane", "crane"], "net.onnx")
    assert usual_names(["n01440764", "tench, Tinca tinca", "great_white_shark", "mine"]) == (
        *("tench", "tench", "great white shark", "mine"),
    )
