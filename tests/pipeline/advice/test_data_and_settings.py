"""What messages about folders of pictures and about settings advise."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.build.request import Request
from pipeline.config import BuildConfig, load_config
from pipeline.data.dataset import Dataset
from pipeline.data.imagenet import SOLUTION, TRUTHS
from pipeline.data.imagenet_classes import imagenet_classes
from pipeline.data.numbered_classes import ClassOrder, in_order
from pipeline.data.open import open_dataset
from pipeline.data.split import Role
from pipeline.progress import Silent
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import class_folders, png, random_pixels, write_folder, write_pack

ROLES: tuple[Role, ...] = ("evaluation", "calibration", "train")
LABELS = "path,split,label,label_name\n"


def evaluated(folder: Path) -> int:
    found = open_dataset(folder)
    return sum(len(found.split(role)) for role in ROLES)


def moved(folder: Path, before: str, after: str) -> None:
    (folder / after).parent.mkdir(parents=True, exist_ok=True)
    (folder / before).rename(folder / after)


def of_two_spellings(folder: Path) -> Callable[[], object]:
    moved(folder, "train/ash", "train/Ash")
    return lambda: moved(folder, "train/Ash", "train/ash")


def without_evaluation(folder: Path) -> Callable[[], object]:
    moved(folder, "test", "somewhere")
    return lambda: moved(folder, "somewhere", "evaluation")


def without_calibration(folder: Path) -> Callable[[], object]:
    moved(folder, "train", "somewhere")
    return lambda: moved(folder, "somewhere", "train")


def in_both(folder: Path) -> Callable[[], object]:
    same = folder / "train" / "ash" / "same.png"
    same.write_bytes((folder / "test" / "ash" / "000.png").read_bytes())
    return same.unlink


def with_a_misspelled_split(folder: Path) -> Callable[[], object]:
    names = [(path.relative_to(folder).as_posix(), path) for path in sorted(folder.rglob("*.png"))]
    rows = [f"{name},{name.split('/')[0]},{int('birch' in name)},{path.parent.name}" for name, path in names]
    table = folder / "labels.csv"
    table.write_text(LABELS + "\n".join(rows).replace(",test,", ",tset,") + "\n")
    return lambda: table.write_text(LABELS + "\n".join(rows) + "\n")


def with_files_that_are_not_there(folder: Path) -> Callable[[], object]:
    with_a_misspelled_split(folder)()
    moved(folder, "test/ash", "ash")
    return lambda: moved(folder, "ash", "test/ash")


def with_an_empty_line(folder: Path) -> Callable[[], object]:
    for split in ("train", "test"):
        files = [path.read_bytes() for path in sorted((folder / split).rglob("*.png"))]
        write_pack(folder / f"{split}_jpeg.npz", files, [n % 2 for n in range(len(files))])
        shutil.rmtree(folder / split)
    names = folder / "classes.txt"
    names.write_text("ash\n\nbirch\n")
    return lambda: names.write_text("ash\nbirch\n")


def without_names(folder: Path) -> Callable[[], object]:
    with_an_empty_line(folder)
    names = folder / "classes.txt"
    names.unlink()
    return lambda: names.write_text("ash\nbirch\n")


def of_too_many_values(folder: Path) -> Callable[[], object]:
    with_a_misspelled_split(folder)()
    table = folder / "labels.csv"
    good = table.read_text()
    table.write_text(good.replace(",birch", ",birch, silver"))
    return lambda: table.write_text(good.replace(",birch", ',"birch, silver"'))


def held_out_perhaps(folder: Path) -> Callable[[], object]:
    with_a_misspelled_split(folder)()
    table = folder / "labels.csv"
    good = table.read_text().replace(",split,", ",is_valid,").replace(",test,", ",True,")
    table.write_text(good.replace(",train,", ",no,"))
    return lambda: table.write_text(good.replace(",train,", ",False,"))


def of_other_names(folder: Path) -> Callable[[], object]:
    """Splits that are called like classes, which may be divided differently then."""
    moved(folder, "train", "part1")
    moved(folder, "test", "part2")

    def heed() -> None:
        moved(folder, "part1", "train")
        moved(folder, "part2", "test")

    return heed


FOLDERS = {
    "Call the folders train, calibration and test": of_other_names,
    "Write True or False there": held_out_perhaps,
    "Write one name per line": with_an_empty_line,
    "Write the class names there": without_names,
    "Quote commas": of_too_many_values,
    "Give the folders of one class one name": of_two_spellings,
    "Add a split named evaluation": without_evaluation,
    "Add a split named train": without_calibration,
    "Remove them from one of the two": in_both,
    "Did you mean 'test'": with_a_misspelled_split,
    "names files that do not exist": with_files_that_are_not_there,
}


@pytest.mark.parametrize("words", FOLDERS)
def test_advice_about_folders_helps(words: str, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", class_folders(train=12, test=6))
    heed = FOLDERS[words](folder)
    check_advice(words, lambda: evaluated(folder), heed)


@pytest.mark.parametrize("order", ["numbers", "text"])
def test_saying_the_order_of_numbers_helps(order: ClassOrder, tmp_path: Path) -> None:
    names = [f"{split}/{name}/{i}.png" for split in ("train", "test") for i, name in enumerate(("2", "10"))]
    pictures = map(png, random_pixels(len(names)))
    folder = write_folder(tmp_path / "data", dict(zip(names, pictures, strict=True)))
    said: list[ClassOrder | None] = [None]
    check_advice(
        'class_order = "numbers", or class_order = "text"',
        lambda: in_order(open_dataset(folder), said[-1]),
        lambda: said.append(order),
    )


@pytest.mark.parametrize("order", ["list", "text"])
def test_saying_whether_a_list_counts_helps(order: ClassOrder, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", class_folders(train=12, test=6))
    (folder / "classes.txt").write_text("birch\nash\n")
    said: list[ClassOrder | None] = [None]
    check_advice(
        'class_order = "list", or class_order = "text"',
        lambda: in_order(open_dataset(folder), said[-1]),
        lambda: said.append(order),
    )


@pytest.mark.parametrize("order", ["imagenet", "text"])
def test_saying_that_folders_are_imagenets_helps(order: ClassOrder) -> None:
    dataset = Dataset("x", tuple(sorted(one.name for one in imagenet_classes())), {})
    said: list[ClassOrder | None] = [None]
    check_advice(
        'class_order = "imagenet" (by', lambda: in_order(dataset, said[-1]), lambda: said.append(order)
    )


IMAGENET = {
    **{f"train/n01751748/{n}.png": png(picture) for n, picture in enumerate(random_pixels(12))},
    "val/ILSVRC2012_val_00000001.JPEG": png(random_pixels(13)[12]),
}
LISTED = b"ILSVRC2012_val_00000001,n01751748 85 1 499 272\n"


@pytest.mark.parametrize(
    ("words", "files"),
    [
        ("or sort the pictures", {}),
        ("Take the complete list", {SOLUTION: LISTED.replace(b"01,", b"02,")}),
        ("Take Kaggle's own file", {SOLUTION: LISTED.replace(b"n01751748", b"n00000000")}),
        ("Take Kaggle's own file", {SOLUTION: LISTED + LISTED.replace(b"n01751748", b"n01440764")}),
        ("Take the development kit's own file", {TRUTHS[0]: b"x"}),
        ("Take the kit's own file", {TRUTHS[0]: b"65"}),
        ("Copy it again", {TRUTHS[0]: b"490"}),
        ("Copy it again", {SOLUTION: b"\xff"}),
    ],
)
def test_giving_the_labels_of_imagenets_pictures_helps(
    words: str, files: dict[str, bytes], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "data", IMAGENET | files)
    check_advice(words, lambda: evaluated(folder), lambda: write_folder(folder, {SOLUTION: LISTED}))


def test_leaving_imagenets_order_out_helps(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", class_folders(train=12, test=6))
    said: list[ClassOrder | None] = ["imagenet"]
    check_advice(
        "or leave class_order out",
        lambda: in_order(open_dataset(folder), said[-1]),
        lambda: said.append(None),
    )


def test_adding_a_list_helps(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "data", class_folders(train=12, test=6))
    check_advice(
        "Add one with the names of all folders",
        lambda: in_order(open_dataset(folder), "list"),
        lambda: (folder / "classes.txt").write_text("birch\nash\n"),
    )


def test_a_folder_instead_of_a_pipe_helps(tmp_path: Path) -> None:
    place = tmp_path / "data"
    os.mkfifo(place)

    def heed() -> None:
        place.unlink()
        write_folder(place, class_folders(train=12, test=6))

    check_advice("is a pipe or a device, not a file or a folder", lambda: evaluated(place), heed)


def test_a_place_that_is_there_helps(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    check_advice(
        "There is no data set",
        lambda: evaluated(folder),
        lambda: write_folder(folder, class_folders(train=12, test=6)),
    )


SETTINGS = {
    "Did you mean 'target'": ("tarqet = 'host'", "target = 'host'"),
    "Did you mean 'images'": ("[calibration]\nimagse = 8", "[calibration]\nimages = 8"),
    "expected a table [calibration]": ("calibration = 8", "[calibration]\nimages = 8"),
    "not valid TOML": ("target = host", "target = 'host'"),
}


@pytest.mark.parametrize("words", SETTINGS)
def test_advice_about_settings_helps(words: str, tmp_path: Path) -> None:
    file, (before, after) = tmp_path / "edgec.toml", SETTINGS[words]
    file.write_text(before)
    check_advice(words, lambda: load_config(BuildConfig, file, {}), lambda: file.write_text(after))


@pytest.mark.parametrize(
    ("setting", "words"),
    [("soak", "Give a soak.json from a device"), ("power_modes", "Give a power_modes.json from a Jetson")],
)
def test_a_record_that_is_there_helps(setting: str, words: str, tmp_path: Path) -> None:
    record = tmp_path / f"{setting}.json"
    config = BuildConfig(target="reference", out=tmp_path / "out").model_copy(update={setting: record})
    check_advice(
        words,
        lambda: Request(config, Silent()),
        lambda: record.write_text("{}"),  # what is in it is read once there is an engine
    )
