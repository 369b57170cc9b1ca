"""What messages about stored results, shares of a validation and records advise: make or give it again."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from pipeline.build.parts import (
    RECORD,
    PartRecord,
    WrittenPart,
    made_with,
    read_parts,
    refuse_foreign,
    refuse_taken,
    take_in,
    write_part,
)
from pipeline.build.publish import place
from pipeline.build.shard import Shard
from pipeline.cache.digest import InputFile, canonical
from pipeline.cache.own_code import code_digest, refuse_changed_code
from pipeline.cache.product import MANIFEST, Product, write_manifest
from pipeline.cache.stage import Stage
from pipeline.cache.store import Store, writing
from pipeline.cache.upkeep import prune
from pipeline.progress import Progress, Silent
from pipeline.report.record import load_record
from pipeline.stages.artifacts import StageOutput
from pipeline.stages.read_power_modes import ReadPowerModes
from pipeline.stages.read_soak import ReadSoak
from targets.runtime.sustained.soak import Soaked
from tests.conftest import ROOT
from tests.pipeline.advice.followed import check_advice
from tests.pipeline.cache.notes import Note


@dataclass(frozen=True)
class CopyOfNote(Stage):
    """Copies what another stage wrote."""

    name: ClassVar[str] = "copy-of-note"

    product: Product
    damages: bool = False

    def run(self, output: Path, progress: Progress) -> None:
        if self.damages:
            (self.product.folder / "note.txt").write_text("other")
        (output / "copy.txt").write_text("copy")


def made(store: Path, text: str = "hello") -> Product:
    return Store(store).make(Note(text), Silent())


def test_building_again_replaces_what_was_damaged_meanwhile(tmp_path: Path) -> None:
    first = made(tmp_path / "store")
    given = [CopyOfNote(first, damages=True)]
    check_advice(
        "Build again: the damaged result is then replaced",
        lambda: Store(tmp_path / "store").make(given[-1], Silent()),
        lambda: given.append(CopyOfNote(made(tmp_path / "store"))),
    )


def test_building_again_publishes_what_was_damaged_before_it_was_copied(tmp_path: Path) -> None:
    given = [made(tmp_path / "store")]
    given[0].file("note.txt").write_text("other")
    check_advice(
        "was damaged before it could be copied to",
        lambda: place(StageOutput(given[-1]), "note.txt", tmp_path / "note.txt"),
        lambda: given.append(made(tmp_path / "store")),
    )
    assert (tmp_path / "note.txt").read_text() == "hello"


def test_another_folder_that_may_be_written_helps(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = [tmp_path / "file"]
    check_advice(
        "Choose a place you may write with --out",
        lambda: Store(places[-1]),
        lambda: places.append(tmp_path / "folder"),
    )


def test_a_folder_with_space_helps(tmp_path: Path) -> None:
    places = [Path("/dev/full"), tmp_path / "page.html"]

    def attempt() -> None:
        with writing(places[0].parent, "--html"), places[0].open("w") as file:
            file.write("x" * 100_000)

    words = "Free some space, or choose another folder with --html"
    check_advice(words, attempt, lambda: places.pop(0))


def test_pruning_after_the_build_helps(tmp_path: Path) -> None:
    building = [Store(tmp_path / "store")]
    building[0].make(Note(), Silent())
    words = "Prune after it has finished"
    check_advice(words, lambda: prune(tmp_path / "store", 0.0, 0), building.clear)


AGAIN = (
    "import sys; from pathlib import Path; from pipeline.cache.own_code import refuse_changed_code as check"
)
AGAIN += "; check((Path(sys.argv[1]),))"


def test_running_again_after_code_was_edited_helps(tmp_path: Path) -> None:
    source = tmp_path / "stage.py"
    source.write_text("A = 1\n")
    code_digest((source,))
    source.write_text("A = 1  # edited\n")
    tries = [lambda: refuse_changed_code((source,))]

    def again() -> None:
        subprocess.run([sys.executable, "-c", AGAIN, str(source)], check=True, cwd=ROOT)

    def attempt() -> None:
        tries[-1]()

    check_advice("Run the command again", attempt, lambda: tries.append(again))


Parts = Callable[..., Path]
UNITS = ("a" * 64, "b" * 64, "c" * 64)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    """Writes the share of a machine of three, of what it has answered."""

    def write(number: int, text: str = "engine") -> Path:
        shard, folder = Shard(number, 3), tmp_path / f"part{number}"
        shutil.rmtree(folder, ignore_errors=True)
        write_part(folder, "build", shard, shard.share_of(UNITS), [made(tmp_path / text, text)])
        return folder

    return write


def test_each_share_once_helps(parts: Parts) -> None:
    given = [parts(1), parts(2), parts(2)]
    check_advice("Give each shard once", lambda: read_parts(given), lambda: given.__setitem__(2, parts(3)))


def test_all_shares_help(parts: Parts) -> None:
    given = [parts(1), parts(3)]
    words = "Make each with `edgec validate --shard`, and give all parts"
    check_advice(words, lambda: read_parts(given), lambda: given.append(parts(2)))


def test_another_folder_for_the_part_helps(parts: Parts, tmp_path: Path) -> None:
    folders = [parts(1)]
    words = "exists already. Remove it, or name another folder with --part"
    check_advice(words, lambda: refuse_taken(folders[-1]), lambda: folders.append(tmp_path / "new"))
    check_advice(words, lambda: refuse_taken(folders[0]), lambda: shutil.rmtree(folders[0]))


def test_a_part_from_the_same_kind_of_machine_helps(parts: Parts) -> None:
    given = [parts(1), parts(2, "other"), parts(3)]
    words = "Make one of them again on the other's kind of machine"
    (key,), (other,) = ([*(folder / "products" / "note").iterdir()] for folder in given[:2])
    other = other.rename(other.with_name(key.name))
    (other / MANIFEST).unlink()
    write_manifest(other, "note", json.loads((key / MANIFEST).read_text())["key"])
    record = json.loads((given[1] / RECORD).read_text())
    (given[1] / RECORD).write_text(json.dumps(record | {"products": [f"note/{key.name}"]}))
    check_advice(words, lambda: read_parts(given), lambda: parts(2))


def test_copying_a_damaged_part_again_helps(parts: Parts) -> None:
    folder = parts(1)
    (note,) = folder.rglob("note.txt")
    note.write_text("other")
    given = [folder, parts(2), parts(3)]
    check_advice("Copy it again, or make it again", lambda: read_parts(given), lambda: parts(1))


def test_giving_a_part_again_that_changed_helps(parts: Parts, tmp_path: Path) -> None:
    given = read_parts([parts(number) for number in (1, 2, 3)])
    (note,) = given[0].folder.rglob("note.txt")
    note.write_text("other")

    def heed() -> None:
        parts(1)
        given[:] = read_parts([part.folder for part in given])

    store = Store(tmp_path / "merged")
    check_advice("Give it again", lambda: take_in(given, store, Silent()), heed)


def test_a_part_of_the_same_settings_and_versions_helps(tmp_path: Path) -> None:
    def part(**of: object) -> WrittenPart:
        record = PartRecord(build="b", number=1, of=1, units=UNITS, products=(), made_with=made_with())
        return WrittenPart(tmp_path, record.model_copy(update=of), ())

    given = [part(units=("d" * 64,), made_with={**made_with(), "onnxruntime": "1.0"})]
    words = "Make it with the same settings and the same versions as are used here"
    check_advice(words, lambda: refuse_foreign([given[-1]], UNITS), lambda: given.append(part()))


SOAK = Soaked(600.0, 9000, 15.0, (5.0, 4.9, 5.2), None, None, {}, None, "no sensor", "ab" * 32)
BUILT: Any = SimpleNamespace(file_digest="ab" * 32)
AROUND: dict[str, Any] = {"engine": {"sha256": "ab" * 32}, "seconds": 60.0, "form": 3}
SWEPT: dict[str, Any] = {"results": {}, "not_in_force": {}, "left": [], "around": AROUND}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{}", "of this version wrote on the device"),
        (json.dumps(asdict(replace(SOAK, engine_sha256="cd" * 32))), "with this bundle"),
    ],
)
def test_the_record_of_a_soak_with_this_bundle_helps(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "soak.json"
    file.write_text(text)
    check_advice(
        words,
        lambda: ReadSoak(InputFile(file, "soak.json"), BUILT).run(tmp_path, Silent()),
        lambda: file.write_text(json.dumps(asdict(SOAK))),
    )


@pytest.mark.parametrize(
    "before", ["{}", json.dumps(SWEPT | {"around": AROUND | {"engine": {"sha256": "cd"}}})]
)
def test_the_record_of_power_modes_with_this_bundle_helps(before: str, tmp_path: Path) -> None:
    file = tmp_path / "power_modes.json"
    file.write_text(before)
    words = "with this bundle" if "cd" in before else "of this version wrote on the device"
    check_advice(
        words,
        lambda: ReadPowerModes(InputFile(file, "power_modes.json"), BUILT).run(tmp_path, Silent()),
        lambda: file.write_text(json.dumps(SWEPT)),
    )


def test_making_a_record_of_another_version_again_helps(tmp_path: Path) -> None:
    file = tmp_path / RECORD
    record = PartRecord(build="b", number=1, of=1, units=UNITS, products=(), made_with=made_with())
    file.write_text(json.dumps(json.loads(record.model_dump_json()) | {"schema_version": 99}))
    check_advice(
        "Make it again, or read it with the edgec that wrote it",
        partial(load_record, PartRecord, file, "part", record.schema_version),
        lambda: record.save(file),
    )


def test_a_digest_helps_what_has_no_canonical_form() -> None:
    class Opaque:
        """A kind of object that a developer puts into a stage."""

    class WithDigest(Opaque):
        digest = "ab" * 32

    given: list[Opaque] = [Opaque()]
    words = " has no canonical form; give it a digest"
    check_advice(words, lambda: canonical(given[-1]), lambda: given.append(WithDigest()), TypeError)
