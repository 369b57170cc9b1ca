"""labels.csv is read as spreadsheets, scripts and other tools write it, or its fault is named."""

import logging
import zipfile
from pathlib import Path

import pytest

from pipeline.data.open import open_dataset
from pipeline.errors import DataError
from tests.pipeline.data.pictures import png, random_pixels, write_folder

NAMES = [f"{split}/{n}.png" for split in ("train", "test") for n in range(4)]
FILES = dict(zip(NAMES, map(png, random_pixels(8)), strict=True))
ROWS = [(name, name.split("/", maxsplit=1)[0], "cd"[number % 2]) for number, name in enumerate(NAMES)]


def table(header: str, pattern: str) -> str:
    return "\n".join([header, *(pattern.format(p=p, s=s, c=c, n="cd".index(c)) for p, s, c in ROWS)]) + "\n"


def holding(folder: Path, content: str | bytes) -> Path:
    written = content if isinstance(content, bytes) else content.encode()
    return write_folder(folder, FILES | {"labels.csv": written})


PLAIN = table("path,split,label", "{p},{s},{c}")
WRITTEN: dict[str, str | bytes] = {
    "plain": PLAIN,
    "other names of columns": table("Filename,Set,Class", "{p},{s},{c}"),
    "names of two words": table("image_path,split,class_name,class_id", "{p},{s},{c},{n}"),
    "semicolons": table("path;split;label", "{p};{s};{c}"),
    "tabs": table("path\tsplit\tlabel", "{p}\t{s}\t{c}"),
    "spaces": table("path, split, label", "{p}, {s} , {c} "),
    "quotes": table('"path","split","label"', '"{p}","{s}","{c}"'),
    "a mark of UTF-8": PLAIN.encode("utf-8-sig"),
    "UTF-16 as Excel writes it": PLAIN.replace(",", "\t").encode("utf-16"),
    "lines of Windows": PLAIN.replace("\n", "\r\n"),
    "backslashes": table("path,split,label", "{p},{s},{c}").replace("/", "\\"),
    "a dot before": table("path,split,label", "./{p},{s},{c}"),
    "true where it is held out": "path,label,is_valid\n"
    + "".join(f"{p},{c},{s == 'test'}\n" for p, s, c in ROWS),
    "splits of folders": table("path,label", "{p},{c}"),
    "other names of splits": PLAIN.replace(",train,", ",Training,").replace(",test,", ",VALID,"),
    "an index before": table(",path,split,label", "0,{p},{s},{c}"),
    "one column a class": "\n".join(
        ["filename,c,d", *(f"{p},{int(c == 'c')},{c == 'd':.1f}" for p, _, c in ROWS)]
    ),
}


@pytest.mark.parametrize("way", WRITTEN)
def test_every_way_to_write_it_means_the_same(way: str, tmp_path: Path) -> None:
    found = open_dataset(holding(tmp_path, WRITTEN[way]))
    assert found.classes == ("c", "d")
    assert found.split("evaluation").labels.tolist() == [0, 1, 0, 1]
    assert len(found.split("train")) + len(found.split("calibration")) == 4


def test_columns_of_true_and_false_decide_against_folders_and_digests(tmp_path: Path) -> None:
    """fastai's `is_valid`; without it, half of what was trained with would be evaluated."""
    held = "".join(f"{p},{c},{int(s == 'train')}\n" for p, s, c in ROWS)
    found = open_dataset(holding(tmp_path, f"path,label,is_valid\n{held}"))
    assert [sample.name for sample in found.split("evaluation").samples] == NAMES[:4]
    both = "".join(f"{p},{c},{n % 3 == 1},{n % 3 == 2}\n" for n, (p, _, c) in enumerate(ROWS))
    found = open_dataset(holding(tmp_path, f"path,label,is_valid,is_test\n{both}"))
    assert [sample.name for sample in found.split("evaluation").samples] == NAMES[2::3]
    with pytest.raises(DataError, match=r"is_valid is 'perhaps'\. Write True or False"):
        open_dataset(holding(tmp_path, "path,label,is_valid\ntrain/0.png,c,perhaps\n"))


@pytest.mark.parametrize("name", ["class_idx", "target", "Label ID"])
def test_numbers_beside_the_names_of_classes_give_their_order(name: str, tmp_path: Path) -> None:
    numbered = "".join(f"{p},{s},{c},{'dc'.index(c)}\n" for p, s, c in ROWS)
    assert open_dataset(holding(tmp_path, f"path,split,class_name,{name}\n{numbered}")).classes == ("d", "c")
    other = "".join(f"{p},{s},{c},{n % 3}\n" for n, (p, s, c) in enumerate(ROWS))
    assert open_dataset(holding(tmp_path, f"path,split,class_name,{name}\n{other}")).classes == ("c", "d")


def test_paths_may_be_absolute_if_they_lead_into_the_folder(tmp_path: Path) -> None:
    found = open_dataset(holding(tmp_path, table("path,split,label", f"{tmp_path}/{{p}},{{s}},{{c}}")))
    assert [sample.name for sample in found.split("evaluation").samples] == NAMES[4:]


def test_it_may_lie_in_a_folder_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in (FILES | {"labels.csv": PLAIN.encode()}).items():
            archive.writestr(f"export/{name}", content)
    assert len(open_dataset(tmp_path / "a.zip").split("evaluation")) == 4


def test_without_splits_the_digests_decide(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {name.replace("/", "-"): content for name, content in FILES.items()}
    text = table("file,category", "{p},{c}").replace("/", "-")
    with caplog.at_level(logging.WARNING):
        found = open_dataset(write_folder(tmp_path, files | {"labels.csv": text.encode()}))
    assert "by the digests of their files" in caplog.text
    assert found.classes == ("c", "d")


def test_lines_that_are_repeated_count_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = open_dataset(holding(tmp_path, PLAIN + "test/3.png,test,d\n"))
    assert len(found.split("evaluation")) == 4
    assert "repeats 1 lines" in caplog.text


WRONG: dict[str, tuple[str | bytes, str]] = {
    "two classes": (PLAIN + "test/3.png,test,c\n", r"the classes 'd' and 'c'.*Remove one of the two lines"),
    "two marks": ("file,c,d\ntest/1.png,1,1\n", r"line 2 marks 2 classes of 2"),
    "no mark": ("file,c,d\ntest/1.png,0,0\n", r"line 2 marks 0 classes of 2"),
    "boxes": ("file,x0,y0\ntest/1.png,12,7\n", r"'x0' is '12' there, neither 0 nor 1"),
    "spelled twice": (PLAIN.replace("test/3.png,test,d", "test/3.png,test,D"), "spelled in two ways"),
    "no header": (PLAIN.partition("\n")[2], "Write path,split,label into its first line"),
    "another encoding": (PLAIN.replace(",c", ",Käse").encode("latin-1"), "Save it as UTF-8"),
    "no lines": ("path,split,label\n", "lists no pictures"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_wrong_is_named(fault: str, tmp_path: Path) -> None:
    content, told = WRONG[fault]
    with pytest.raises(DataError, match=told):
        open_dataset(holding(tmp_path, content))


def test_pictures_beside_that_are_not_listed_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = holding(tmp_path / "whole", PLAIN)
    part = holding(tmp_path / "part", PLAIN.replace("train/3.png,train,d\n", ""))
    with caplog.at_level(logging.WARNING):
        open_dataset(whole)
        assert "does not list" not in caplog.text
        open_dataset(part)
    assert "labels.csv does not list 1 pictures beside those that it lists: train/3.png" in caplog.text


@pytest.mark.parametrize("name", ["Labels.CSV", "LABELS.csv"])
def test_its_name_may_be_in_another_case(name: str, tmp_path: Path) -> None:
    found = open_dataset(write_folder(tmp_path, FILES | {name: PLAIN.replace(",c", ",pear").encode()}))
    assert found.classes == ("d", "pear")


@pytest.mark.parametrize("column", ["id", "image_id"])
def test_pictures_may_be_named_by_number_without_folder_and_ending(
    column: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = {f"pictures/n{n}.png": png(one) for n, one in enumerate(random_pixels(4))}
    rows = "".join(f"n{n},{('train', 'test')[n // 2]},{'cd'[n % 2]}\n" for n in range(4))
    text = f"{column},split,breed\n{rows}".replace("breed", "label").encode()
    with caplog.at_level(logging.WARNING):
        found = open_dataset(write_folder(tmp_path, files | {"labels.csv": text}))
    assert [one.name for one in found.split("evaluation").samples] == ["pictures/n2.png", "pictures/n3.png"]
    assert "found 4 pictures by their names" in caplog.text


def test_a_name_that_two_pictures_share_is_not_used(tmp_path: Path) -> None:
    text = b"id,split,label\n1,test,c\n"
    with pytest.raises(DataError, match=r"names files that do not exist: 1\. Write paths relative"):
        open_dataset(write_folder(tmp_path, FILES | {"labels.csv": text}))


def test_columns_that_are_not_used_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = table("path,label,fold,width", "{p},{c},3,8")
    with caplog.at_level(logging.WARNING):
        open_dataset(holding(tmp_path, text))
    assert "labels.csv: columns that are not used: fold, width. To hold a fold out, write" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        open_dataset(
            holding(tmp_path / "own", "path,split,a_name,a_id,b_name,b_id\ntest/1.png,test,x,0,y,0\n")
        )
    assert "not used" not in caplog.text  # other kinds of labels may be asked for


BOXED = "filename,xmin,ymin,xmax,ymax,class\n"


def test_one_box_a_picture_is_named_as_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        open_dataset(holding(tmp_path, BOXED + "test/0.png,0,0,3,3,c\ntest/1.png,0,0,7,7,d\n"))
    assert "whole pictures are classified; the boxes (xmin, ymin, xmax" in caplog.text
