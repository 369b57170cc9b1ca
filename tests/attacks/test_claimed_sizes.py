"""What a file claims is compared with a limit before anything of that size is read, made or printed."""

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.build.parts import RECORD, read_parts
from pipeline.cli.app import MOST_CHARACTERS, run
from pipeline.data.open import open_dataset
from pipeline.difference.opened_side import opened_side
from pipeline.errors import DataError, ReportError, UsageError
from pipeline.matrix.matrix_config import load_matrix
from pipeline.matrix.planned_rows import planned_rows
from pipeline.report.model.build_report import Report
from targets.runtime.bundle.signature import Signature, SignatureError
from targets.runtime.device_limits import TEXT_BYTES
from tests.attacks.limits.beyond_limits import DEEP
from tests.fuzz.sound_files import sound
from tests.pipeline.data.pictures import class_folders, write_shards

HUGE = 10**12


def header(name: str, kind: bytes, size: bytes) -> bytes:
    """Return a tar's block whose size field holds these bytes."""
    member = tarfile.TarInfo(name)
    member.type = kind
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = size
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * ord(" ") + sum(block[156:512]))
    return bytes(block)


@pytest.mark.parametrize(
    "block",
    [
        header("a.cls", tarfile.REGTYPE, b"\xff" * 12),
        header("a", tarfile.GNUTYPE_LONGNAME, b"\xff" * 12),
        header("a", tarfile.XHDTYPE, b"%011o\0" % 11) + b"11 size=-9\n".ljust(512, b"\0"),
    ],
    ids=["of a label", "of a long name", "in a pax header"],
)
def test_a_tar_with_a_negative_size_is_not_read_to_its_end(tmp_path: Path, block: bytes) -> None:
    (tmp_path / "val.tar").write_bytes(block + header("b.cls", tarfile.REGTYPE, b"%011o\0" % 1) + bytes(2048))
    with pytest.raises(DataError, match=r"damaged.*a negative size"):
        open_dataset(tmp_path)


def test_a_label_of_nested_lists_is_no_label(tmp_path: Path) -> None:
    pictures = list(class_folders(val=2).values())
    files = {"a.png": pictures[0], "a.json": DEEP[:60_000].encode(), "b.png": pictures[1], "b.cls": b"0"}
    with pytest.raises(DataError, match=r"1 of 2 pictures have no label.*a\.png"):
        open_dataset(write_shards(tmp_path, {"val.tar": files}))


@pytest.mark.parametrize(
    ("claimed", "said"),
    [
        ({"of": HUGE}, f"it says that it is shard 1/{HUGE}"),
        ({"number": 3}, "it says that it is shard 3/2"),
        ({"of": 900_000}, "The shards 2/900000, .*, 21/900000 and 899,979 more are missing"),
    ],
    ids=str,
)
def test_a_part_of_more_shards_than_there_can_be(tmp_path: Path, claimed: dict[str, int], said: str) -> None:
    record = {**json.loads(sound("part", tmp_path)), **claimed}
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(UsageError, match=said):
        read_parts([tmp_path])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('models = ["resnet20-fashion"]\ntargets = [' + '"host",' * 4097 + "]", "has 4,097 rows"),
        (
            'targets = ["host"]\nmodels = [' + ",".join(f'"{n}.onnx"' for n in range(5_000)) + "]",
            "has 5,000 rows",
        ),
        (
            'models = ["resnet20-fashion"]\ntargets = ["host"]\n' + '[[exclude]]\nmodel = "x"\n' * 257,
            "have 257 patterns",
        ),
        (
            'models = ["resnet20-fashion"]\ntargets = ["host"]\n[[include]]\nmodel = [' + '"x",' * 257 + "]",
            "have 257 patterns",
        ),
    ],
    ids=["targets", "models", "filters", "patterns of a filter"],
)
def test_a_matrix_of_more_rows_than_are_built(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "matrix.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        planned_rows(load_matrix(file, None), file)


def with_holes(path: Path, *shape: int) -> Path:
    """Write an array that takes no space on the disk."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
        )
        file.truncate(file.tell() + 4 * int(np.prod(shape, dtype=object)))
    return path


@pytest.mark.parametrize("shape", [(2, (1 << 26) + 1), (2, 1 << 13, 1 << 14), (1 << 27, 1)], ids=str)
def test_recorded_logits_of_more_values_than_a_network_has(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pictures = np.zeros((2, 4, 4, 3), np.uint8)
    path = with_holes(tmp_path / "x.npy", *shape)
    if shape[1] == 1:  # of many pictures, of which those are read that are asked for
        with opened_side(path) as side:
            assert side.logits(pictures).shape == (2, 1)  # type: ignore[union-attr]
        return
    with pytest.raises(UsageError, match="recorded logits for each picture"), opened_side(path):
        pass


def test_a_folder_of_recorded_logits_is_read_as_far_as_there_are_pictures(tmp_path: Path) -> None:
    one = np.zeros((1, 4, 4, 3), np.uint8)
    first, last = (with_holes(tmp_path / name, 1, 10) for name in ("a.npy", "b.npy"))
    with opened_side(tmp_path) as side:
        os.truncate(last, 0)
        assert side.logits(one).shape == (1, 10)  # type: ignore[union-attr]
        with_holes(first, 1, 11)
        with pytest.raises(UsageError, match="changed meanwhile"):
            side.logits(one)  # type: ignore[union-attr]


def test_a_signature_has_a_limit_of_its_own() -> None:
    with pytest.raises(SignatureError, match="at most 2,097,152 are read"):
        Signature.parse(b" " * (TEXT_BYTES + 1))


@pytest.mark.parametrize("wrong", ["1", "{}", "[]"], ids=["numbers", "empty objects", "empty lists"])
def test_of_an_array_the_first_wrong_item_is_named(wrong: str) -> None:
    told = json.loads(sound("report", Path()))
    told["subject"]["skipped_images"] = told["accuracy"]["per_class"] = "@"
    many = json.dumps(told).replace('"@"', f"[{','.join([wrong] * 2000)}]")
    with pytest.raises(ReportError, match=r"accuracy.*per_class\.0") as refused:
        Report.parse(many.encode(), "report.json")
    assert "wrong fields" not in str(refused.value)


@pytest.mark.parametrize("field", ['"schema_version":"%s"', '"schema_version":1,"%s":1'])
def test_a_message_shows_the_beginning_of_a_long_value(field: str) -> None:
    with pytest.raises(ReportError) as refused:
        Report.parse(b"{%s}" % (field % ("a" * 10**6)).encode(), "report.json")
    assert len(str(refused.value)) < 1000


def test_the_longest_message_is_not_longer_than_a_few_pages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["targets", "x" * 10**6]) == 2
    said = capsys.readouterr().err
    assert len(said) < MOST_CHARACTERS + 100
    assert "more characters" in said
