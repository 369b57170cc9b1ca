"""A validation divided among machines gives the bytes of a single machine, and wrong parts are refused."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.build.plan import Build
from pipeline.build.shard import Shard
from pipeline.cache.product import MANIFEST, write_manifest
from pipeline.cli.app import run
from pipeline.config import BuildConfig, load_config
from pipeline.errors import UsageError
from pipeline.progress import Silent
from pipeline.stages import answer

UNITS = 3

Program = Callable[..., int]
Refusal = Callable[..., str]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Program:
    """Runs a command line with units so small that 300 images are three of them."""
    monkeypatch.setattr(answer, "UNIT_IMAGES", 128)
    return lambda *words: run([str(word) for word in words])


@pytest.fixture(scope="module")
def shared(out: Path, quick: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    """A folder of a machine that did everything alone, and the parts of three that did a third each."""
    work = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "UNIT_IMAGES", 128)
        stores = []
        for number in range(UNITS + 1):
            stores.append(work / f"machine{number}")
            shutil.copytree(out, stores[-1], copy_function=shutil.copy2)
        alone, *others = stores
        assert Build(load_config(BuildConfig, quick, {"out": alone}), Silent()).accuracy.names
        for number, store in enumerate(others, 1):
            options = ["--config", str(quick), "--out", str(store)]
            share = ["--shard", f"{number}/{UNITS}", "--part", str(work / f"part{number}")]
            assert run(["validate", *options, *share]) == 0
    return alone, [work / f"part{number}" for number in range(1, UNITS + 1)]


def accuracy_below(store: Path) -> set[bytes]:
    return {file.read_bytes() for file in store.glob("store/products/validate/*/accuracy.json")}


def test_merged_shares_are_the_bytes_of_one_machine(
    program: Program,
    shared: tuple[Path, list[Path]],
    quick: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone, parts = shared
    capsys.readouterr()
    assert program("merge", *reversed(parts), "--config", quick, "--out", tmp_path / "out", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    again = {step["stage"] for step in result["steps"] if not step["cached"]}
    assert not again & {"export", "calibrate", "quantize", "compile", "compare-splits", "answer"}
    (merged,) = accuracy_below(tmp_path / "out")
    assert merged in accuracy_below(alone)


@pytest.fixture
def refusal(program: Program, capsys: pytest.CaptureFixture[str]) -> Refusal:
    """Runs a command line that is refused, and returns the program's message."""

    def said(*words: object) -> str:
        capsys.readouterr()
        assert program(*words) == 2
        return " ".join(capsys.readouterr().err.split())

    return said


@pytest.fixture
def merge_refusal(refusal: Refusal, quick: Path, tmp_path: Path) -> Refusal:
    """Merges parts that are refused, and returns the program's message."""
    return lambda *parts: refusal("merge", *parts, "--config", quick, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1, 2], ["shards 3/3", "missing"]),
        ([1, 2, 2], ["part2 (shard 2/3)", "the same shard"]),
        ([1, 2, 3, 1], ["part1 (shard 1/3)", "the same shard"]),
    ],
)
def test_missing_and_repeated_shares_are_named(
    merge_refusal: Refusal,
    shared: tuple[Path, list[Path]],
    tmp_path: Path,
    given: list[int],
    words: list[str],
) -> None:
    parts = [shared[1][number - 1] for number in given]
    said = merge_refusal(*parts)
    assert all(word in said for word in words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["edited", "cut", "removed", "linked", "listed elsewhere", "no part"])
def test_a_damaged_part_is_named(
    merge_refusal: Refusal, shared: tuple[Path, list[Path]], tmp_path: Path, damage: str
) -> None:
    first, _, last = shared[1]
    broken = shutil.copytree(shared[1][1], tmp_path / "broken")
    (answers,) = broken.glob("products/answer/*/answers.json")
    if damage == "edited":
        answers.write_bytes(answers.read_bytes().replace(b"1", b"2", 1))
    elif damage == "cut":
        answers.write_bytes(answers.read_bytes()[:-1])
    elif damage == "removed":
        shutil.rmtree(answers.parent)
    elif damage == "linked":
        answers.rename(tmp_path / "elsewhere")
        answers.symlink_to(tmp_path / "elsewhere")
    elif damage == "listed elsewhere":
        record = json.loads((broken / "part.json").read_text())
        record["products"].append("answer/../../../../etc")
        (broken / "part.json").write_text(json.dumps(record))
    else:
        (broken / "part.json").unlink()
    said = merge_refusal(first, broken, last)
    assert str(broken) in said
    assert not (tmp_path / "out").exists()


def test_parts_of_another_build_are_refused(
    refusal: Refusal,
    shared: tuple[Path, list[Path]],
    quick: Path,
    tmp_path: Path,
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(quick.read_text().replace("images = 300", "images = 299"))
    said = refusal("merge", *shared[1], "--config", other, "--out", tmp_path / "out")
    assert re.search(r"\(shard \d/3\) does not belong to this build: another network, engine,", said)


def test_parts_of_other_versions_are_refused_with_both(
    merge_refusal: Refusal, shared: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    first, second, last = shared[1]
    older = shutil.copytree(second, tmp_path / "older")
    record = json.loads((older / "part.json").read_text())
    record["made_with"]["onnxruntime"], record["units"] = "1.0", ["0" * 64]
    (older / "part.json").write_text(json.dumps(record))
    said = merge_refusal(first, older, last)
    assert "onnxruntime 1.0 there and" in said


def test_machines_that_compute_differently_are_named(
    merge_refusal: Refusal, shared: tuple[Path, list[Path]], tmp_path: Path
) -> None:
    first, second, last = shared[1]
    other = shutil.copytree(second, tmp_path / "other")
    (engine,) = other.glob("products/compile/*")
    key = json.loads((engine / MANIFEST).read_text())["key"]
    (engine / MANIFEST).unlink()
    changed = next(engine.iterdir())
    changed.write_bytes(changed.read_bytes() + b"\0")
    write_manifest(engine, "compile", key)
    said = merge_refusal(first, other, last)
    assert "compile wrote other bytes" in said
    assert str(first) in said
    assert str(other) in said


def test_more_shares_than_units_are_refused(
    refusal: Refusal, warm_out: Path, quick: Path, tmp_path: Path
) -> None:
    part = tmp_path / "part"
    words = ("validate", "--config", quick, "--out", warm_out, "--shard", "1/4", "--part", part)
    assert "3 units of up to 128 images, so that at most 3 machines" in refusal(*words)
    assert not part.exists()


def test_a_part_is_not_written_over_something_else(
    refusal: Refusal, warm_out: Path, quick: Path, tmp_path: Path
) -> None:
    words = ("validate", "--config", quick, "--out", warm_out, "--shard", "1/3", "--part", tmp_path)
    assert "exists already" in refusal(*words)


@pytest.mark.parametrize("words", [["--shard", "1/3"], ["--part", "here"]])
def test_shard_and_part_belong_together(refusal: Refusal, quick: Path, words: list[str]) -> None:
    assert "--shard and --part need each other" in refusal("validate", "--config", quick, *words)


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "3/8/2", "a/b", "-1/3", "1/0", "١/٣"])
def test_a_share_is_written_as_two_numbers(text: str) -> None:
    with pytest.raises(UsageError, match="Write it as 3/8"):
        Shard.parse(text)


def test_every_unit_is_in_one_share() -> None:
    for of in range(1, 9):
        shares = [Shard(number, of).share_of(range(20)) for number in range(1, of + 1)]
        assert sorted(unit for share in shares for unit in share) == list(range(20))
