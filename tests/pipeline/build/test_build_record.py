"""A finished build is not planned again while nothing has changed, and is whenever anything has."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from benchmarks.damage import make_input
from pipeline.build import build_record
from pipeline.build.build_record import BuildRecord
from pipeline.build.given_settings import GivenSettings
from pipeline.cache import surroundings
from pipeline.cache.code_at_start import ROOT
from pipeline.cache.digest import RememberedDigests
from pipeline.cli.app import run
from targets.reach import emulator

Capture = pytest.CaptureFixture[str]
Change = Callable[[Path], Callable[[], None]]
"""Changes something, and returns what undoes it."""
AN_HOUR_NS = 3_600_000_000_000


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had been there for an hour when the program started."""
    monkeypatch.setattr(build_record, "is_settled", lambda: True)
    monkeypatch.setattr(RememberedDigests, "RACY_NS", -AN_HOUR_NS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network and its pictures. Tests undo what they do there."""
    folder = tmp_path_factory.mktemp("made")
    make_input(folder)
    (folder / "build.toml").write_text(
        'model = "net.onnx"\ndata = "data"\ntarget = "reference"\nout = "out"\n'
        "[calibration]\nimages = 8\n[latency]\nseconds = 0.05\npeer = false\n"
    )
    return folder


def command(folder: Path, *options: str) -> list[str]:
    return ["build", "--config", str(folder / "build.toml"), *options]


def record(folder: Path, **options: object) -> BuildRecord:
    return BuildRecord(GivenSettings(folder / "build.toml", options))


@pytest.fixture
def done(made: Path, capfd: Capture) -> Path:
    """The same folder, of whose build there is a record."""
    run(command(made))
    capfd.readouterr()
    assert record(made).unchanged() is not None
    return made


def is_known(folder: Path) -> bool:
    return record(folder).unchanged() is not None


def forget(folder: Path) -> None:
    shutil.rmtree(folder / "out/store/finished")


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_it_says_what_the_whole_plan_says(done: Path, capfd: Capture, form: tuple[str, ...]) -> None:
    forget(done)
    planned = run(command(done, *form)), *capfd.readouterr()
    again = run(command(done, *form)), *capfd.readouterr()
    assert _without_times(again[1]) == _without_times(planned[1])
    assert again[::2] == planned[::2]
    assert "6 training images" in again[2] or form


def _without_times(text: str) -> object:
    if not text.startswith("{"):
        return text
    told = json.loads(text)
    return {**told, "steps": [{**step, "seconds": 0} for step in told["steps"]]}


def test_it_loads_no_plan(done: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture) -> None:
    monkeypatch.setitem(sys.modules, "pipeline.build.plan", None)
    assert run(command(done)) == 0
    assert "nothing to do" in capfd.readouterr().out


def test_a_gate_that_failed_fails_again(made: Path, capfd: Capture) -> None:
    strict = "--config", str(made / "strict.toml")
    (made / "strict.toml").write_text((made / "build.toml").read_text() + "[validation]\nmin_top1 = 99\n")
    codes = [run(["build", *strict]) for _ in range(2)]
    shown = capfd.readouterr().out
    assert codes[0] == codes[1] != 0, shown


def test_a_report_is_shown_for_the_width_of_each_terminal(
    done: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    shown: dict[str, set[str]] = {}
    for width in ("70", "100", "70"):
        monkeypatch.setenv("COLUMNS", width)
        run(command(done))
        shown.setdefault(width, set()).add(capfd.readouterr().out)
    assert [len(texts) for texts in shown.values()] == [1, 1]
    assert shown["70"] != shown["100"]


def _changed_bytes(file: Path) -> Callable[[], None]:
    """Change a byte and set the time back; return what undoes it."""
    before, status = file.read_bytes(), file.stat()
    file.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    def undo() -> None:
        file.write_bytes(before)

    return undo


def _moved(file: Path) -> Callable[[], None]:
    other = file.with_name(f"{file.name}.away")
    file.rename(other)

    def undo() -> None:
        other.rename(file)

    return undo


def _added(file: Path) -> Callable[[], None]:
    is_new = not file.parent.exists()
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"1")
    return partial(shutil.rmtree, file.parent) if is_new else file.unlink


def _linked(file: Path) -> Callable[[], None]:
    """Put a link to the same bytes in the file's place."""
    back = _moved(file)
    file.symlink_to(f"{file.name}.away")

    def undo() -> None:
        file.unlink()
        back()

    return undo


FILES = ("net.onnx", "net.data", "deep/more.bin", "net.toml", "labels.txt", "data/train/ash/0.png")
CHANGES = (
    *((change, file) for file in FILES for change in (_changed_bytes, _moved, _linked)),
    *((_added, file) for file in ("data/train/ash/new.png", "data/train/elm/0.png", "data/classes.txt")),
    (_moved, "data"),
    (_changed_bytes, "out/net-reference/report.html"),
    (_moved, "out/net-reference/ranges.json"),
    (_moved, "out/net-reference.edgec"),
)


@pytest.mark.parametrize(("change", "file"), CHANGES)
def test_a_file_that_changed_is_noticed(done: Path, change: Change, file: str) -> None:
    undo = change(done / file)
    try:
        assert not is_known(done)
    finally:
        undo()


@pytest.mark.parametrize("content", ["", "{", "[1, 2, 3]", '["0", "0", {}]', None])
def test_a_record_that_is_damaged_is_as_none(done: Path, content: str | None) -> None:
    for file in (done / "out/store/finished").iterdir():
        text = file.read_text()
        file.write_text(
            text.replace("nothing", "Nothing").replace("pass", "fail") if content is None else content
        )
    assert not is_known(done)


def test_every_stored_result_that_is_damaged_or_gone_is_noticed(done: Path) -> None:
    known = record(done).unchanged()
    assert known is not None
    products = [done / "out/store/products" / stage / key[:32] for stage, key in set(known[0].steps)]
    for product in products:
        for file in [one for one in product.rglob("*") if one.is_file()]:
            for change in (_changed_bytes, _moved):
                undo = change(file)
                assert not is_known(done), file
                undo()
    assert is_known(done)


SETTINGS: tuple[dict[str, object], ...] = (
    {"validation.max_drop": 2.0},
    {"calibration.images": 7},
    {"latency.threads": 2},
    {"labels": "kind"},
    {"checkpoint": Path("nowhere.pt")},
    {"device": "ssh://user@board"},
    {"package": ("wheel",)},
    {"calibration.quantized": Path("net.onnx")},
)


@pytest.mark.parametrize("options", SETTINGS)
def test_other_settings_are_another_build(done: Path, options: dict[str, object]) -> None:
    assert record(done, **options).unchanged() is None


def test_an_edited_file_of_settings_is_another_build(done: Path) -> None:
    file = done / "build.toml"
    text = file.read_text()
    file.write_text(text.replace("images = 8", "images = 7"))
    assert not is_known(done)
    file.write_text(text)
    assert is_known(done)


@pytest.mark.parametrize("option", [None, Path("there"), Path("~/there")])
@pytest.mark.parametrize("line", ["", 'out = "results"', 'out = "~/results"', 'out = "/tmp/results"'])
@pytest.mark.parametrize("with_file", [False, True])
def test_the_folder_of_results_is_that_of_the_checked_settings(
    tmp_path: Path, option: Path | None, line: str, with_file: bool
) -> None:
    (tmp_path / "build.toml").write_text(line)
    given = GivenSettings(tmp_path / "build.toml" if with_file else None, {"out": option})
    assert given.out == given.load().out


def _package(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / "site-packages/onnx-9.9.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(folder / "site-packages")


def _emulator(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    (folder / emulator.QEMU).touch(mode=0o755)
    monkeypatch.setenv("PATH", str(folder))


AROUND: dict[str, Callable[[pytest.MonkeyPatch, Path], None]] = {
    "our code": lambda patch, _: patch.setattr(surroundings, "identities", lambda: "other"),
    "Python": lambda patch, _: patch.setattr(sys, "version", "3.99"),
    "a package": _package,
    "the processor": lambda patch, _: patch.setattr(surroundings, "cpu_name", lambda: "other"),
    "its instructions": lambda patch, _: patch.setattr(surroundings, "cpu_flags", frozenset),
    "the machine": lambda patch, _: patch.setattr(surroundings, "this_host", lambda: "other"),
    "EDGEC_ISA": lambda patch, _: patch.setenv("EDGEC_ISA", "avx2"),
    "the user's tiles": lambda patch, folder: patch.setenv("EDGEC_TUNED", str(folder)),
    "the home": lambda patch, folder: patch.setenv("HOME", str(folder)),
    "the emulator": _emulator,
    "the working folder": lambda patch, folder: patch.chdir(folder),
}  # fmt: skip


@pytest.mark.parametrize("what", AROUND)
def test_other_surroundings_are_another_build(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    AROUND[what](monkeypatch, tmp_path)
    assert not is_known(done)


def test_a_tile_that_the_user_tunes_is_noticed(done: Path) -> None:
    undo = _added(Path(os.environ["EDGEC_TUNED"]) / "avx2-any.json")
    try:
        assert not is_known(done)
    finally:
        undo()


def test_the_emulator_is_looked_for_by_its_name() -> None:
    assert emulator.QEMU == surroundings.EMULATOR


def test_what_changed_shortly_before_or_during_a_build_leaves_no_record(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been read before the change, with times that do not show it."""
    forget(done)
    monkeypatch.setattr(RememberedDigests, "RACY_NS", AN_HOUR_NS)
    run(command(done))
    assert not (done / "out/store/finished").exists()


def test_a_folder_that_was_exchanged_during_a_build_leaves_no_record(
    done: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forget(done)
    shutil.copytree(done / "data", tmp_path / "other")
    saved = BuildRecord.save

    def save(*arguments: object) -> None:
        undo.append(_moved(done / "data"))
        (tmp_path / "other").rename(done / "data")
        saved(*arguments)  # type: ignore[arg-type]

    undo: list[Callable[[], None]] = []
    monkeypatch.setattr(BuildRecord, "save", save)
    run(command(done))
    shutil.rmtree(done / "data")
    undo[0]()
    assert not (done / "out/store/finished").exists()


def test_a_build_asks_for_nothing_that_its_record_does_not_look_at(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it is planned from the store. tests/pipeline/stages/test_reads.py has what stages open."""
    known = record(done).unchanged()
    assert known is not None
    forget(done)
    asked: set[Path] = set()
    for module, names in ((os, ("stat", "lstat", "scandir", "listdir", "open", "access")),):
        for name in names:
            monkeypatch.setattr(module, name, _noting(getattr(module, name), asked))
    monkeypatch.setattr("io.open", _noting(open, asked))
    monkeypatch.setattr("builtins.open", _noting(open, asked))
    run(command(done))
    monkeypatch.undo()
    places = [Path(place) for place in known[0].seen]
    elsewhere = (
        *(ROOT / name for name in ("pipeline", "targets", "calibration", "edgec", ".venv")),
        *(Path(folder) for folder in (sys.prefix, sys.base_prefix, "/proc", "/etc/machine-id", "/dev")),
        *(done / name for name in ("out", "build.toml")),
        *(Path(folder) for folder in sys.path if Path(folder) != ROOT),
    )
    outside = [
        path
        for path in asked
        if path.name != emulator.QEMU
        and not any(path.is_relative_to(place) for place in (*places, *elsewhere))
        and not any(place.is_relative_to(path) for place in (*places, *elsewhere))
    ]
    assert outside == []
    assert done / "labels.txt" in asked


def _noting(call: Callable[..., object], asked: set[Path]) -> Callable[..., object]:
    def noted(*arguments: object, **options: object) -> object:
        place = arguments[0] if arguments else "."
        if isinstance(place, str | os.PathLike):
            asked.add(Path(os.path.abspath(place)))  # noqa: PTH100 - links stay
        return call(*arguments, **options)

    return noted
