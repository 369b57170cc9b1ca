"""What messages about tables, archives and other stored pictures advise."""

import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.cache.digest import file_digest
from pipeline.data import idx
from pipeline.data.left_over import left_over
from pipeline.data.masks import open_for_segmentation, read_mask
from pipeline.data.open import open_dataset
from targets.runtime.preprocess import ImageError, Preprocessing
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import (
    class_folders,
    png,
    random_pixels,
    write_folder,
    write_idx_set,
    write_pack,
)

PICTURES = {f"a/{number}.png": png(one) for number, one in enumerate(random_pixels(4))}
GOOD = "path,split,label\na/0.png,train,x\na/1.png,train,y\na/2.png,test,x\na/3.png,test,y\n"

TABLES: dict[str, tuple[str | bytes, str]] = {
    "Write a line for each": ("path,split,label\n", GOOD),
    "Write path,split,label into its first line": (GOOD.partition("\n")[2], GOOD),
    "Name the column of classes label": (GOOD.replace("label", "kind"), GOOD),
    "neither 0 nor 1. Name the column of classes label": (
        GOOD.replace("label", "kind,shade").replace(",x", ",x,2").replace(",y", ",y,2"),
        GOOD,
    ),
    "Correct that line": (GOOD.replace(",test,x", ",test,"), GOOD),
    "one class each. Remove that line": (
        "path,split,x,y\na/0.png,train,1,0\na/1.png,train,1,1\na/2.png,test,0,1\na/3.png,test,1,0\n",
        "path,split,x,y\na/0.png,train,1,0\na/2.png,test,0,1\na/3.png,test,1,0\n",
    ),
    "Save it as UTF-8": (
        GOOD.replace(",x", ",Gruyère").encode("latin-1"),
        GOOD.replace(",x", ",Gruyère"),
    ),
    "one class each. Remove one of the two lines": (GOOD + "a/3.png,test,x\n", GOOD),
    "more than one number. Give it one": (
        "path,split,x_name,x_id\na/0.png,train,cat,0\na/1.png,train,cat,1\na/2.png,test,dog,1\n",
        "path,split,x_name,x_id\na/0.png,train,cat,0\na/1.png,train,cat,0\na/2.png,test,dog,1\n",
    ),
}


@pytest.mark.parametrize("words", TABLES)
def test_another_table_helps(words: str, tmp_path: Path) -> None:
    before, after = TABLES[words]
    folder = write_folder(tmp_path / "data", PICTURES)
    table = folder / "labels.csv"
    table.write_bytes(before.encode() if isinstance(before, str) else before)
    check_advice(words, lambda: open_dataset(folder).split("evaluation"), lambda: table.write_text(after))


@dataclass
class AdvisedFolder:
    """The input given to edgec, which is changed when advice is followed."""

    place: Path
    labels: str | None = None
    read: Callable[[Path, str | None], object] = lambda place, labels: len(
        open_dataset(place, labels).split("evaluation")
    )
    heeded: list[str] = field(default_factory=list)


Case = Callable[[AdvisedFolder], Callable[[], object]]


def set_to(trial: AdvisedFolder, name: str, value: object) -> Callable[[], object]:
    return lambda: setattr(trial, name, value)


def two_folders_of_one_split(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(train=4, test=4, Testing=1))
    extra = trial.place / "Testing" / "ash" / "000.png"

    def heed() -> None:
        extra.rename(trial.place / "test" / "ash" / "new.png")
        shutil.rmtree(trial.place / "Testing")

    return heed


def pictures_and_masks(trial: AdvisedFolder) -> Callable[[], object]:
    folder = with_masks(trial, gray_masks())
    for kind in ("images", "masks"):
        for split in ("train", "test"):
            (folder / kind).mkdir(exist_ok=True)
            for path in (folder / split / kind).iterdir():
                path.rename(folder / kind / path.name)
            (folder / split / kind).rmdir()
    for split in ("train", "test"):
        (folder / split).rmdir()

    def heed() -> None:
        for kind in ("images", "masks"):
            (folder / "test").mkdir(exist_ok=True)
            (folder / kind).rename(folder / "test" / kind)

    return heed


def without_folders(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, {"0.png": PICTURES["a/0.png"], "1.png": PICTURES["a/1.png"]})

    def heed() -> None:
        for number, name in enumerate(("cat", "dog")):
            (trial.place / name).mkdir()
            (trial.place / f"{number}.png").rename(trial.place / name / "0.png")

    trial.read = lambda place, _: open_dataset(place)
    return heed


def in_a_tar(trial: AdvisedFolder) -> Callable[[], object]:
    folder = write_folder(trial.place.with_name("inside"), class_folders(train=4, test=4))
    with tarfile.open(trial.place, "w") as archive:
        archive.add(folder, "inside")
    return set_to(trial, "place", folder)


def in_an_encrypted_zip(trial: AdvisedFolder) -> Callable[[], object]:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("test/ash/1.png", PICTURES["a/0.png"])
    raw = bytearray(content.getvalue())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1  # the flag in the directory
    trial.place = trial.place.with_suffix(".zip")
    trial.place.write_bytes(raw)
    return set_to(
        trial, "place", write_folder(trial.place.with_name("inside"), class_folders(train=4, test=4))
    )


def in_a_zip_cut_off(trial: AdvisedFolder) -> Callable[[], object]:
    trial.place = trial.place.with_suffix(".zip")
    with zipfile.ZipFile(trial.place, "w") as archive:
        for name, content in class_folders(train=4, test=4).items():
            archive.writestr(name, content)
    whole = trial.place.read_bytes()
    trial.place.write_bytes(whole[:-40])
    return lambda: trial.place.write_bytes(whole)


def labels_of_a_folder(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(train=4, test=4))
    trial.labels = "coarse"
    return set_to(trial, "labels", None)


def labels_of_idx(trial: AdvisedFolder) -> Callable[[], object]:
    write_idx_set(trial.place, t10k=20)
    trial.labels = "coarse"
    return set_to(trial, "labels", None)


def idx_cut_off(trial: AdvisedFolder) -> Callable[[], object]:
    write_idx_set(trial.place, t10k=20)
    file = trial.place / "t10k-images-idx3-ubyte"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    return lambda: file.write_bytes(whole)


def idx_gz_cut_off(trial: AdvisedFolder) -> Callable[[], object]:
    write_idx_set(trial.place, t10k=20)
    plain = trial.place / "t10k-images-idx3-ubyte"
    whole = gzip.compress(plain.read_bytes())
    plain.unlink()
    file = plain.with_name(plain.name + ".gz")
    file.write_bytes(whole[:-30])
    return lambda: file.write_bytes(whole)


def pack_of(trial: AdvisedFolder, labels: list[int]) -> Path:
    files = list(PICTURES.values())[: len(labels)]
    trial.place.mkdir(exist_ok=True)
    (trial.place / "classes.txt").write_text("x\ny\n")
    write_pack(trial.place / "test_jpeg.npz", files, labels)
    return trial.place / "test_jpeg.npz"


def pack_of_other_labels(trial: AdvisedFolder) -> Callable[[], object]:
    pack_of(trial, [0, 1, 2])
    return lambda: pack_of(trial, [0, 1, 1])


def empty_pack(trial: AdvisedFolder) -> Callable[[], object]:
    pack_of(trial, [])
    return lambda: pack_of(trial, [0, 1])


def pack_cut_off(trial: AdvisedFolder) -> Callable[[], object]:
    file = pack_of(trial, [0, 1])
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    return lambda: file.write_bytes(whole)


def damaged_pictures(trial: AdvisedFolder) -> Callable[[], object]:
    files = class_folders(train=4, test=4)
    write_folder(trial.place, files | {f"test/ash/{n}.png": b"\x89PNG" for n in "xy"})
    preprocessing = Preprocessing(8, 8, 3, fit="stretch")
    trial.read = lambda place, _: list(open_dataset(place).split("evaluation").batches(preprocessing, 4))

    def heed() -> None:
        for name in "xy":
            (trial.place / "test" / "ash" / f"{name}.png").unlink()

    return heed


def changed_meanwhile(trial: AdvisedFolder) -> Callable[[], object]:
    file = write_folder(trial.place, class_folders(train=4, test=4)) / "test" / "ash" / "000.png"

    def read(place: Path, _: str | None) -> None:
        split = open_dataset(place).split("evaluation")
        assert split.digest
        if not trial.heeded:
            file.write_bytes(PICTURES["a/0.png"])
        split.images.decode(0, 3)

    trial.read = read
    return lambda: trial.heeded.append("it stays")


def all_calibrate(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(calib=4, test=4))
    drawn = [4]

    def read(place: Path, _: str | None) -> None:
        dataset = open_dataset(place)
        left_over(dataset, dataset.split("calibration").stratified(drawn[-1]))

    trial.read = read
    return lambda: drawn.append(2)


def none_asked_for(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(train=4, test=4))
    count = [0]
    trial.read = lambda place, _: open_dataset(place).split("evaluation").stratified(count[-1])
    return lambda: count.append(1)


def with_masks(trial: AdvisedFolder, masks: dict[str, bytes]) -> Path:
    files = {f"{split}/images/{n}.png": PICTURES[f"a/{n}.png"] for n, split in enumerate(("train", "test"))}

    def read(place: Path, _: str | None) -> None:
        images = open_for_segmentation(place, None, ("x", "y"), file_digest).split("evaluation").images
        images.mask(0)  # type: ignore[attr-defined]

    trial.read = read
    return write_folder(trial.place, files | masks)


def gray_masks(splits: str = "01") -> dict[str, bytes]:
    gray = cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()
    return {f"{('train', 'test')[int(n)]}/masks/{n}.png": gray for n in splits}


def masks_of_colours(trial: AdvisedFolder) -> Callable[[], object]:
    folder = with_masks(trial, gray_masks("0") | {"test/masks/1.png": PICTURES["a/3.png"]})
    return lambda: write_folder(folder, gray_masks())


def a_mask_too_few(trial: AdvisedFolder) -> Callable[[], object]:
    folder = with_masks(
        trial, gray_masks("0") | {"test/masks/other.png": gray_masks("1")["test/masks/1.png"]}
    )
    return lambda: write_folder(folder, gray_masks())


def masks_in_black_and_white(trial: AdvisedFolder) -> Callable[[], object]:
    def masks(white: int) -> dict[str, bytes]:
        half = np.where(np.arange(64).reshape(8, 8) < 32, white, 0).astype(np.uint8)
        coded = cv2.imencode(".png", half)[1].tobytes()
        return {"train/masks/0.png": coded, "test/masks/1.png": coded}

    folder = with_masks(trial, masks(255))
    return lambda: write_folder(folder, masks(1))


CASES: dict[str, Case] = {
    "Write class numbers: 1 where they have": masks_in_black_and_white,
    "Put their pictures into one folder": two_folders_of_one_split,
    "For segmentation put them into test/images and test/masks": pictures_and_masks,
    "Put the pictures of each class into a folder named like it": without_folders,
    "an archive that edgec does not read into. Unpack it and give the folder": in_a_tar,
    "is encrypted. Unpack it and give the folder": in_an_encrypted_zip,
    "is damaged, or not a .zip file": in_a_zip_cut_off,
    "Leave that option out": labels_of_a_folder,
    "has only one kind of labels. Leave out": labels_of_idx,
    "bytes according to its header": idx_cut_off,
    "Copy or download it again": idx_gz_cut_off,
    "Correct the labels or the class names": pack_of_other_labels,
    "is empty. Put images into it": empty_pack,
    "Copy it again": pack_cut_off,
    "Restore or remove them": damaged_pictures,
    "Build again when it stays as it is": changed_meanwhile,
    "Lower calibration.images or add some": all_calibrate,
    "Ask for at least one": none_asked_for,
    "Write masks as 8-bit gray PNGs": masks_of_colours,
    "Put a PNG of the same name into test/masks": a_mask_too_few,
}


@pytest.mark.parametrize("words", CASES)
def test_advice_about_stored_pictures_helps(words: str, tmp_path: Path) -> None:
    trial = AdvisedFolder(tmp_path / "data")
    heed = CASES[words](trial)
    check_advice(words, lambda: trial.read(trial.place, trial.labels), heed)


def test_unpacking_a_large_idx_file_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(tmp_path, t10k=20)
    plain = tmp_path / "t10k-images-idx3-ubyte"
    content = plain.read_bytes()
    plain.unlink()
    packed = tmp_path / f"{plain.name}.gz"
    packed.write_bytes(gzip.compress(content))
    monkeypatch.setattr(idx, "IDX_BYTES", 100)

    def heed() -> None:
        plain.write_bytes(content)
        packed.unlink()

    check_advice("Unpack it with gunzip", lambda: open_dataset(tmp_path).split("evaluation"), heed)


def test_a_mask_in_text_is_saved_as_png() -> None:
    classes = np.array([[20, 0]], np.uint8)
    with pytest.raises(ImageError, match="numbers OpenCV may scale; save it as PNG"):
        read_mask(b"P2\n2 1\n20\n20 0\n", "one.pgm")
    assert read_mask(b"P5\n2 1\n20\n\x14\0", "one.pgm").tolist() == classes.tolist()
    assert read_mask(png(classes[:, :, None]), "one.png").tolist() == classes.tolist()
