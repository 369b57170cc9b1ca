"""labels.csv: a table with a header that says of which split and class each picture is.

Its columns are path, split, and one or more of labels: `label`, or `<kind>_name`, beside which `<kind>_id`
gives the order of the classes; or one column of 0 and 1 for each class. Other common names of columns, and
semicolons or tabs between them, are understood. Without a column of splits, folders named like splits decide,
or else the digests of the files.
"""

import codecs
import csv
import io
import logging
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from calibration.errors import did_you_mean
from pipeline.data.arrangement import SPELLINGS, is_litter, joined, split_of
from pipeline.data.class_folders import SUFFIXES, ClassFile, divided, refuse_spellings
from pipeline.data.label_columns import PATH, Columns, find, find_columns
from pipeline.data.listed_pictures import located
from pipeline.data.tree import Tree
from pipeline.errors import DataError, listed
from pipeline.reading.reading_limits import LABELS_ROW, LABELS_ROWS
from targets.runtime.preprocess import ImageError

LABELS = "labels.csv"
SEPARATORS = ",;\t|"
HEADER = 1 << 14
"""The first bytes of a table, in which the separator of columns is looked for."""
NUMBER = re.compile(r"\d{1,18}")
MARKS = {"0": False, "1": True, "0.0": False, "1.0": True, "": False, "false": False, "true": True}


class Entry(NamedTuple):
    """One picture, from its path or a line of labels.csv; order is the number that is given for its class."""

    path: str
    split: str
    label: str
    order: int = 0


def other_tables(tree: Tree, top: str) -> list[str]:
    """Return the names of tables of pictures in the folder `top` that are not called labels.csv."""
    names = [one for one in tree.files(top) if one.casefold().endswith((".csv", ".tsv"))]
    return [one for one in names if one.casefold() != LABELS and _lists_pictures(tree, joined(top, one))]


def _lists_pictures(tree: Tree, name: str) -> bool:
    try:
        columns = _lines(tree.read(name))[0].fieldnames or ()
    except (UnicodeDecodeError, csv.Error, ImageError):
        return False
    return find(columns, PATH) is not None


def read_table(tree: Tree, name: str, kind: str | None) -> list[Entry]:
    """Return the pictures that the table `name`, a labels.csv, lists.

    kind: which column of labels, as `fine` for `fine_name`; None takes the first. Raises DataError for a
    table that is damaged or says too little, naming its line, and UsageError for an unknown kind.
    """
    place = PurePosixPath(name)
    where = f"{tree.location}: {place.name}"
    top = "" if place.parent == PurePosixPath() else str(place.parent)
    try:
        lines, source = _lines(tree.read(name))
        names = list(lines.fieldnames or ())
        if any("\0" in name for name in names):  # also in a column that is not read
            raise csv.Error("a NUL character in its header")
        columns = find_columns(names, kind, where)
        read = [
            _entry(line, columns, f"{where}, line {number}") for line, number in _rows(lines, source, where)
        ]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where} is damaged, or not UTF-8 text ({error.reason}). Save it as UTF-8."
        ) from error
    except (csv.Error, ImageError) as error:
        raise DataError(f"{where} is damaged: {error}.") from error
    if not read:
        raise DataError(f"{where} lists no pictures. Write a line for each, or remove that file.")
    if columns.boxes:
        _refuse_boxes(read, columns.boxes, where)
    if columns.unread:
        fold = " To hold a fold out, write a column split with train and test." if not columns.split else ""
        _warn(f"{where}: columns that are not used: {listed(list(columns.unread))}.{fold}")
    entries = _in_order(_once(read, where), columns, where)
    paths = located(tree, top, [entry.path for entry in entries], where)
    found = [entry._replace(path=path) for entry, path in zip(entries, paths, strict=True)]
    refuse_spellings(where, [ClassFile(entry.path, entry.split, entry.label) for entry in found])
    _warn_of_unlisted(tree, found, where)
    return found if columns.split or columns.held_out else _with_splits(tree, top, found)


def _refuse_boxes(read: Sequence[Entry], boxes: Sequence[str], where: str) -> None:
    """Raise DataError if pictures have several boxes, and say that single ones are not used."""
    most, count = Counter(entry.path for entry in read).most_common(1)[0]
    told = listed(list(boxes))
    if count > 1:
        raise DataError(
            f"{where} has boxes ({told}), and {count} of them in {most}: it is for detection, and edgec"
            " classifies whole pictures. Cut the boxes out into pictures of their own, and list those,"
            " with one class each."
        )
    _warn(f"{where}: whole pictures are classified; the boxes ({told}) are not used")


def _warn_of_unlisted(tree: Tree, found: Sequence[Entry], where: str) -> None:
    """Say how many pictures lie beside the listed ones without being listed."""
    listed_files = {entry.path for entry in found}
    folders = {PurePosixPath(path).parent for path in listed_files} - {PurePosixPath()}
    outermost: list[str] = []
    for folder in sorted(f"{one}/" for one in folders):
        if not outermost or not folder.startswith(outermost[-1]):
            outermost.append(folder)
    there = {name for folder in outermost for name in tree.below(folder.removesuffix("/"))}
    unlisted = [
        name
        for name in sorted(there - listed_files)
        if PurePosixPath(name).suffix.lower() in SUFFIXES and not is_litter(PurePosixPath(name))
    ]
    if unlisted:
        _warn(
            f"{where} does not list {len(unlisted)} pictures beside those that it lists: {listed(unlisted)}"
        )


def _lines(content: bytes) -> "tuple[csv.DictReader[str], _Lines]":
    """Return the lines by column, and as text; UTF-16 needs the mark that Excel writes."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    encoding = "utf-16" if wide else "utf-8-sig"
    header = content[:HEADER].decode(encoding, "ignore").partition("\n")[0]
    separator = max(SEPARATORS, key=lambda one: (bool(find(header.split(one), PATH)), header.count(one)))
    source = _Lines(io.TextIOWrapper(io.BytesIO(content), encoding, newline=""))
    by_column = csv.DictReader(source, restkey="\0", strict=True, delimiter=separator, skipinitialspace=True)
    return by_column, source


class _Lines:
    """The lines of a text, as long as a row is no longer than rows are: one could fill the memory."""

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text
        self.in_row = 0
        self.characters = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._text.readline(LABELS_ROW + 1)
        self.in_row += len(line)
        self.characters += len(line)
        if self.in_row > LABELS_ROW:
            raise csv.Error(f"a row has more than {LABELS_ROW:,} characters")
        if not line:
            raise StopIteration
        return line


def _rows(lines: "csv.DictReader[str]", source: _Lines, where: str) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the values by column and the number of each line."""
    source.in_row = 0
    columns = len(lines.fieldnames or ())
    for count, line in enumerate(lines):
        source.in_row = 0
        if any(line.pop("\0", None) or ()):
            raise DataError(f"{where}, line {lines.line_num} has more values than columns. Quote commas.")
        if count >= LABELS_ROWS:
            raise DataError(f"{where} has more than {LABELS_ROWS:,} rows.")
        if (count + 1) * columns > LABELS_ROW + source.characters:  # each value is followed by a mark
            raise DataError(
                f"{where}, line {lines.line_num}: the rows lack most values of the {columns:,} columns."
                " Remove columns that are empty."
            )
        yield {key: (value or "").strip() for key, value in line.items()}, lines.line_num


def _entry(line: Mapping[str, str], columns: Columns, where: str) -> Entry:
    path, split = line[columns.path], line[columns.split] if columns.split else "none"
    if columns.held_out:
        split = _held_out(line, columns.held_out, where)
    if columns.label is None:
        label, order = _marked(line, columns.classes, where)
    else:
        label, order = line[columns.label], line[columns.number] if columns.number else "0"
        if not columns.certain and not NUMBER.fullmatch(order):
            order = "0"  # classes share a number, so their names give the order
    if not path or not split or not label or not NUMBER.fullmatch(order):
        raise DataError(
            f"{where} lacks a path, split or label, or its class number is not an integer. Correct that line."
        )
    known = split_of(split) if columns.split or columns.held_out else split
    if known is None:
        hint = did_you_mean(split, sorted(SPELLINGS))
        raise DataError(f"{where}: unknown split {split!r}.{hint} Allowed: {', '.join(sorted(SPELLINGS))}.")
    return Entry(path, known, sys.intern(unicodedata.normalize("NFC", label)), int(order))


def _held_out(line: Mapping[str, str], columns: Sequence[tuple[str, str]], where: str) -> str:
    """Return the split that columns of true and false say."""
    for name, _ in columns:
        if line[name].casefold() not in MARKS:
            raise DataError(f"{where}: {name} is {line[name]!r}. Write True or False there.")
    return next((split for name, split in columns if MARKS[line[name].casefold()]), "train")


def _in_order(found: list[Entry], columns: Columns, where: str) -> list[Entry]:
    """Return the entries without class numbers where a column that may have them has not one a class."""
    if columns.certain or columns.number is None:
        return found
    pairs = {(entry.label, entry.order) for entry in found}
    if len(pairs) == len({label for label, _ in pairs}) == len({order for _, order in pairs}) < len(found):
        _warn(f"{where}: classes in the order of the numbers in {columns.number!r}")
        return found
    return [entry._replace(order=0) for entry in found]


def _marked(line: Mapping[str, str], classes: Sequence[str], where: str) -> tuple[str, str]:
    """Return the class whose column has a 1, and the position of that column."""
    unknown = [name for name in classes if line[name].casefold() not in MARKS]
    if unknown:
        raise DataError(
            f"{where} has no column `label` or `<kind>_name`, and {unknown[0]!r} is {line[unknown[0]]!r}"
            " there, neither 0 nor 1. Name the column of classes label."
        )
    marked = [number for number, name in enumerate(classes) if MARKS[line[name].casefold()]]
    if len(marked) != 1:
        raise DataError(
            f"{where} marks {len(marked)} classes of {len(classes)}; edgec takes pictures of one class each."
            " Remove that line."
        )
    return classes[marked[0]], str(marked[0])


def _once(entries: Sequence[Entry], where: str) -> list[Entry]:
    """Return the entries without repetitions. Raises DataError for a picture of two classes."""
    by_path: dict[tuple[str, str], Entry] = {}
    labels: dict[str, str] = {}
    for entry in entries:
        before = labels.setdefault(entry.path, entry.label)
        if before != entry.label:
            raise DataError(
                f"{where} gives {entry.path} the classes {before!r} and {entry.label!r}; edgec takes pictures"
                " of one class each. Remove one of the two lines."
            )
        by_path[entry.path, entry.split] = entry
    if len(by_path) < len(entries):
        _warn(f"{where} repeats {len(entries) - len(by_path)} lines, which count once")
    return list(by_path.values())


def _with_splits(tree: Tree, top: str, entries: list[Entry]) -> list[Entry]:
    """Return the entries with the splits that their folders name, or else those of their digests."""
    depth = len(PurePosixPath(top).parts)
    folders = [split_of(PurePosixPath(entry.path).parts[depth]) for entry in entries]
    if all(folders):
        return [entry._replace(split=str(name)) for entry, name in zip(entries, folders, strict=True)]
    splits = divided(tree, [(entry.path, entry.label) for entry in entries])
    return [entry._replace(split=split) for entry, split in zip(entries, splits, strict=True)]


def _warn(text: str) -> None:
    logging.getLogger("edgec.data").warning(text)
