"""What messages about tables, archives and other stored pictures advise."""

import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.data import idx
from pipeline.data.left_over import left_over
from pipeline.data.open import open_dataset
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.advice.advised_folder import PICTURES, AdvisedFolder, Case, set_to
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.data.pictures import (
    class_folders,
    write_folder,
    write_idx_set,
    write_pack,
)

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


def two_folders_of_one_split(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(train=4, test=4, Testing=1))
    extra = trial.place / "Testing" / "ash" / "000.png"

    def heed() -> None:
        extra.rename(trial.place / "test" / "ash" / "new.png")
        shutil.rmtree(trial.place / "Testing")

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


def all_train_calibrates(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(train=1, test=4))
    trial.read = lambda place, _: open_dataset(place).split("train")
    return lambda: write_folder(trial.place, class_folders(train=4))


def none_asked_for(trial: AdvisedFolder) -> Callable[[], object]:
    write_folder(trial.place, class_folders(train=4, test=4))
    count = [0]
    trial.read = lambda place, _: open_dataset(place).split("evaluation").stratified(count[-1])
    return lambda: count.append(1)


CASES: dict[str, Case] = {
    "Put their pictures into one folder": two_folders_of_one_split,
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
    "are all taken to calibrate with, by their content. Add some": all_train_calibrates,
    "Ask for at least one": none_asked_for,
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
