"""Pictures in folders and .zip files, labelled by their place or by labels.csv."""

import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import label_table, tree
from pipeline.data.open import open_dataset
from pipeline.errors import DataError, UsageError
from targets.runtime.preprocess import Preprocessing
from tests.pipeline.data.pictures import class_folders, jpeg, png, random_pixels, write_folder

CSV = """path,split,fine_id,fine_name,coarse_id,coarse_name
a/1.png,train,1,Gala,0,Apple
a/2.png,train,0,Boskoop,0,Apple
a/3.png,test,2,Conference,1,Pear
"""
PICTURES = {f"a/{n + 1}.png": png(picture) for n, picture in enumerate(random_pixels(3))}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def with_csv(folder: Path, text: str) -> Path:
    return write_folder(folder, PICTURES | {"labels.csv": text.encode()})


def test_a_folder_and_a_zip_of_it_are_the_same_data_set(tmp_path: Path) -> None:
    files = class_folders(train=20, test=6)
    folder = open_dataset(write_folder(tmp_path / "folder", files))
    archive = open_dataset(zipped(tmp_path / "set.zip", files))
    assert folder.classes == archive.classes == ("ash", "birch")
    for role in ("train", "calibration", "evaluation"):
        assert folder.split(role).samples == archive.split(role).samples


def test_what_is_deeper_than_the_class_belongs_to_it_and_what_is_no_picture_is_left_out(
    tmp_path: Path,
) -> None:
    picture = png(random_pixels(1)[0])
    files = {
        "test/ash/deep/er/1.PNG": picture,
        "test/ash/notes.txt": b"",
        "test/2.png": picture,
        "more/x/3.png": picture,
        "test/ash/._1.PNG": b"what macOS leaves on other disks",
        "test/.ipynb_checkpoints/4.png": picture,
    }
    dataset = open_dataset(write_folder(tmp_path, files))
    assert dataset.classes == ("ash",)
    assert [sample.name for sample in dataset.split("evaluation").samples] == ["test/ash/deep/er/1.PNG"]


def test_a_kind_of_picture_that_cannot_be_decoded_is_damaged_not_left_out_in_silence(tmp_path: Path) -> None:
    files = {"test/ash/1.png": png(random_pixels(1)[0]), "test/ash/2.heic": b"\0\0\0\x18ftypheic"}
    split = open_dataset(write_folder(tmp_path, files)).split("evaluation")
    assert len(split) == 2
    with pytest.raises(DataError, match=r"2\.heic \(a HEIC .*convert it to JPEG\)"):
        list(split.batches(Preprocessing(8, 8, 3, "stretch"), 2))


def test_folders_that_link_to_each_other_are_entered_once(tmp_path: Path) -> None:
    write_folder(tmp_path, class_folders(test=4))
    (tmp_path / "test" / "ash" / "up").symlink_to(tmp_path)
    assert len(open_dataset(tmp_path).split("evaluation")) == 4


@pytest.mark.parametrize(
    ("kind", "classes", "labels"),
    [
        (None, ("Boskoop", "Gala", "Conference"), [2]),
        ("fine", ("Boskoop", "Gala", "Conference"), [2]),
        ("coarse", ("Apple", "Pear"), [1]),
    ],
)
def test_labels_csv_offers_its_columns_and_orders_classes_by_number(
    kind: str | None, classes: tuple[str, ...], labels: list[int], tmp_path: Path
) -> None:
    dataset = open_dataset(with_csv(tmp_path, CSV), labels=kind)
    assert dataset.classes == classes
    assert dataset.split("evaluation").labels.tolist() == labels


def test_one_column_named_label_is_enough(tmp_path: Path) -> None:
    dataset = open_dataset(with_csv(tmp_path, "path,split,label\na/1.png,train,pear\na/2.png,test,apple\n"))
    assert dataset.classes == ("apple", "pear")


def test_a_kind_of_label_that_is_not_there_is_corrected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'corse'. Did you mean 'coarse'\? Allowed: fine, coarse"):
        open_dataset(with_csv(tmp_path, CSV), labels="corse")
    with pytest.raises(UsageError, match=r"has no labels\.csv to take 'fine' labels from"):
        open_dataset(write_folder(tmp_path / "plain", class_folders(test=2)), labels="fine")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no column 'path'; it has no header"),
        ("path,split,kind\n", "has no column `label` or `<kind>_name`; it has path, split, kind"),
        ("path,split,label\na/1.png,trian,x\n", r"line 2: unknown split 'trian'. Did you mean 'train'\?"),
        ("path,split,label\na/1.png,train,\n", "line 2 lacks a path, split or label"),
        ("path,split,label\na/1.png\n", "line 2 lacks a path, split or label"),
        (
            "path,split,x_id,x_name\na/1.png,train,one,x\n",
            "line 2 lacks .* or its class number is not an integer",
        ),
        (
            f"path,split,x_id,x_name\na/1.png,train,{'9' * 5000},x\n",
            "line 2 lacks .* or its class number is not an integer",
        ),
        (
            "path,split,x_id,x_name\na/1.png,train,1,x\na/2.png,test,2,x\n",
            "gives the class 'x' more than one",
        ),
        ("path,split,label\na/1.png,train,x\na/9.png,test,x\n", r"files that do not exist: a/9\.png\."),
        ("path,split,label\n../../etc/passwd,train,x\n", r"not exist: \.\./\.\./etc/passwd"),
        ("path,split,label\n/etc/passwd,train,x\n", "not exist: /etc/passwd"),
        (f"path,split,label\n{'a' * 5000},train,x\n", "not exist: aaa"),
        ("path,split,label\na\0b,train,x\n", "not exist: a"),
        (f"path,split,label\na/1.png,train,{'9,' * 600_000}\n", "a row has more than 1,048,576 characters"),
        ('"a\n",' * 300_000, "a row has more than 1,048,576 characters"),
        (f"split{',x' * 5000}\n", "has no column 'path'; it has split, x, x, x, x and 4996 more"),
        (
            "path,split,label\na/1.png,train,mango, ripe\n",
            "line 2 has more values than columns. Quote commas",
        ),
        ('path,split,label\n"a/1.png,train,x\n', "is damaged: unexpected end of data"),
        ("path,\0\0,h, \0\na.at,1", "is damaged: a NUL character in its header"),
    ],
)
def test_a_labels_csv_that_is_wrong_says_where(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=told):
        open_dataset(with_csv(tmp_path, text))


def test_a_labels_csv_that_is_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv is damaged"):
        open_dataset(write_folder(tmp_path, {"labels.csv": b"\xff\xfe\x00"}))


def test_paths_in_a_zip_that_climb_out_are_only_names(tmp_path: Path) -> None:
    files = class_folders(test=2) | {"../../outside.png": b"x", "/absolute/x/1.png": b"x"}
    assert len(open_dataset(zipped(tmp_path / "set.zip", files)).split("evaluation")) == 2
    assert not (tmp_path.parent.parent / "outside.png").exists()


def test_a_damaged_or_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match=r"damaged, or not a \.zip"):
        open_dataset(path)
    content = bytearray(zipped(path, {"test/ash/1.png": b"x"}).read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="is encrypted"):
        open_dataset(path)


def test_a_damaged_member_or_one_with_a_false_size_is_a_damaged_picture(tmp_path: Path) -> None:
    files = {f"test/ash/{n:03}.jpg": jpeg(picture) for n, picture in enumerate(random_pixels(300))}
    content = bytearray(zipped(tmp_path / "set.zip", files).read_bytes())
    first = content.index(b"test/ash/000.jpg") + 40
    content[first] ^= 0xFF
    entry = content.rindex(b"test/ash/001.jpg") - 46
    content[entry + 24 : entry + 28] = struct.pack("<I", 2**31)  # the size it claims to unpack to
    (tmp_path / "set.zip").write_bytes(content)
    split = open_dataset(tmp_path / "set.zip").split("evaluation")
    damaged: dict[str, str] = {}
    for _ in split.batches(
        Preprocessing(8, 8, 3, fit="pad"), 100, lambda s, why: damaged.update({s.name: why})
    ):
        pass
    assert list(damaged) == ["test/ash/000.jpg", "test/ash/001.jpg"]
    assert "archive is damaged there" in damaged["test/ash/000.jpg"]
    assert "unpacks to more than" in damaged["test/ash/001.jpg"]


def test_a_broken_link_is_not_a_picture_and_an_unreadable_folder_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, class_folders(test=4))
    (tmp_path / "test" / "ash" / "gone.png").symlink_to(tmp_path / "nowhere")
    split = open_dataset(tmp_path).split("evaluation")
    assert len(split) == 4
    (tmp_path / "test" / "ash" / "000.png").unlink()
    with pytest.raises(DataError, match=r"Cannot read .*000\.png: No such file"):
        split.digest  # noqa: B018 -- reads the files


def test_a_file_too_long_for_a_picture_is_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "PICTURE_BYTES", 10)
    split = open_dataset(write_folder(tmp_path, class_folders(test=4))).split("evaluation")
    with pytest.raises(DataError, match=r"At least 1 of the 4 .* longer than 10 bytes"):
        list(split.batches(Preprocessing(8, 8, 3, fit="pad"), 2))


def test_digests_of_files_can_be_remembered_elsewhere(tmp_path: Path) -> None:
    asked: list[Path] = []

    def digest(path: Path) -> str:
        asked.append(path)
        return "0" * 64

    split = open_dataset(write_folder(tmp_path, class_folders(test=4)), digest=digest).split("evaluation")
    assert {sample.digest for sample in split.samples} == {"0" * 64}
    assert sorted(asked) == sorted(tmp_path.glob("test/*/*.png"))


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_scrambled_archives_are_read_or_refused_but_never_crash(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("scrambled") / "set.zip"
    content = bytearray(zipped(path, PICTURES | {"labels.csv": CSV.encode()}).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(DataError):
        for batch in open_dataset(path).split("evaluation").batches(Preprocessing(8, 8, 3, fit="pad"), 2):
            assert batch.images.shape == (1, 8, 8, 3)


def bare(count: int = 40) -> dict[str, bytes]:
    """Folders that are classes, and no splits."""
    pictures = random_pixels(count)
    return {f"{('ash', 'birch')[n % 2]}/{n}.png": png(picture) for n, picture in enumerate(pictures)}


def roles(location: Path) -> dict[str, str]:
    dataset = open_dataset(location)
    found = {name: dataset.split(name).samples for name in ("train", "calibration", "evaluation")}
    return {sample.name: role for role, samples in found.items() for sample in samples}


def test_folders_that_are_classes_are_divided_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    divided = roles(write_folder(tmp_path / "photos", bare()))
    tests = [name for name, role in divided.items() if role == "evaluation"]
    assert len(divided) == 40
    assert 5 <= len(tests) <= 20
    assert f"{40 - len(tests)} of its pictures are to train with and {len(tests)} to test with" in caplog.text
    assert roles(zipped(tmp_path / "photos.zip", bare())) == divided


def test_a_picture_keeps_its_role_when_others_are_added_and_copies_share_it(tmp_path: Path) -> None:
    few, more = bare(), bare(60)
    copies = {f"ash/copy of {n}.png": more[f"ash/{n}.png"] for n in range(0, 60, 2)}
    before = roles(write_folder(tmp_path / "few", few))
    after = roles(write_folder(tmp_path / "more", more | copies))
    tested = {name for name, role in after.items() if role == "evaluation"}
    assert {name for name, role in before.items() if role == "evaluation"} == tested & set(few)
    assert {f"ash/{n}.png" for n in range(0, 60, 2)} & tested == {
        name.replace("copy of ", "") for name in tested if "copy" in name
    }


def test_a_folder_of_pictures_without_classes_is_not_a_data_set(tmp_path: Path) -> None:
    for number, names in enumerate((["1.png", "2.png"], ["only/1.png", "only/2.png"])):
        folder = write_folder(tmp_path / str(number), dict(zip(names, PICTURES.values(), strict=False)))
        with pytest.raises(DataError, match="not a data set that edgec can read"):
            open_dataset(folder)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path, class_folders(test=4))
    (tmp_path / "test" / "ash" / "mem.png").symlink_to("/proc/self/mem")  # reading its beginning is an error
    with pytest.raises(DataError, match=r"Cannot read .*mem\.png: "):
        open_dataset(tmp_path).split("evaluation").digest  # noqa: B018 -- reads the files


def test_a_table_without_lines_is_not_taken_apart_in_memory(tmp_path: Path) -> None:
    write_folder(tmp_path, class_folders(test=4))
    size = 16 << 20
    (tmp_path / "labels.csv").write_bytes(b"path,split,label\n" + b"a" * size)
    tracemalloc.start()
    with pytest.raises(DataError, match=r"labels\.csv is damaged: a row has more than 1,048,576 characters"):
        open_dataset(tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * size


def test_a_table_with_more_rows_than_data_sets_have_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_table, "LABELS_ROWS", 3)
    rows = "".join(f"{n}.png,test,ash\n" for n in range(4))
    (tmp_path / "labels.csv").write_text("path,split,label\n" + rows)
    with pytest.raises(DataError, match=r"labels\.csv has more than 3 rows"):
        open_dataset(tmp_path)
