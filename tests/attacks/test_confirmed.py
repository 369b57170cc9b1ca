"""A new version confirms itself, or the previous one is in use again; also after a power cut."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bundle.pack import pack
from pipeline.stages.bundle import RUNTIME
from targets.runtime.bundle import install, unconfirmed
from targets.runtime.bundle.history import switches
from targets.runtime.bundle.install import InstallError
from targets.runtime.bundle.manifest import NAME
from tests.attacks.bundles import digest, manifest

OLD, NEW = b"the old engine", b"the new engine"


def bundle(folder: Path, engine: bytes, program: str = "", **fields: object) -> Path:
    path = folder / f"{digest(engine)[:8]}.edgec"
    files = {"engine": engine, "run": program.encode()}
    text = json.loads(manifest(**{name: digest(data) for name, data in files.items()})) | fields
    pack({**files, NAME: json.dumps(text).encode()}, path, top="m-t")
    return path


@pytest.fixture(autouse=True)
def _passing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "run_selftest", lambda _: {})


@pytest.fixture
def into(tmp_path: Path) -> Path:
    """A folder in which the old version is in use."""
    install.install(bundle(tmp_path, OLD), tmp_path / "into")
    return tmp_path / "into"


def current(into: Path) -> bytes:
    return (into / "current" / "engine").read_bytes()


SLOW = "import sys; sys.exit('99 % of 7 inferences took up to 9.000 ms' if '--within-ms' in sys.argv else 0)"
ASKED = "import sys, pathlib; pathlib.Path(__file__).with_name('asked').write_text(' '.join(sys.argv[1:]))"


def test_a_version_slower_than_stated_is_left_again(into: Path, tmp_path: Path) -> None:
    slow = bundle(tmp_path, NEW, SLOW, confirm=[7, 2.5])
    with pytest.raises(InstallError, match=r"took up to 9\.000 ms\. The version before is in use again"):
        install.install(slow, into)
    assert current(into) == OLD
    assert not (into / "previous").exists()
    assert not (into / unconfirmed.NAME).exists()
    assert [switch.how for switch in switches(into)] == ["install", "install", "return"]


def test_the_self_test_is_asked_for_the_stated_times(into: Path, tmp_path: Path) -> None:
    install.install(bundle(tmp_path, NEW, ASKED, confirm=[7, 2.5]), into)
    assert current(into) == NEW
    assert (into / "current" / "asked").read_text() == "selftest --json --inferences 7 --within-ms 2.5"


@pytest.mark.parametrize("wrong", [[0, 1], [1], [1, -1], ["7", 1], [1, 1, 1], [1.5, 2], [True, 2], 7])
def test_a_confirmation_of_another_shape_is_refused(into: Path, tmp_path: Path, wrong: object) -> None:
    with pytest.raises(ValueError, match="cannot be used"):
        install.install(bundle(tmp_path, NEW, confirm=wrong), into)


STEPS = ("replace", "rename", "symlink_to", "unlink", "mkdir", "chmod")


def dying_at(step: int, work: Callable[[], object]) -> bool:
    """Do the work in a child process that dies, without any clean-up, at its n-th change of the disk.

    Returns whether it ended before it came to that.
    """
    child = os.fork()
    if child == 0:
        left = step

        def counted(change: Callable[..., object]) -> Callable[..., object]:
            def one(*given: object, **named: object) -> object:
                nonlocal left
                if left == 0:
                    os._exit(9)
                left -= 1
                return change(*given, **named)

            return one

        for name in STEPS:
            setattr(Path, name, counted(getattr(Path, name)))
        os.fsync = counted(os.fsync)  # type: ignore[assignment]
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_after_a_loss_of_power_at_any_time_a_whole_version_is_in_use(into: Path, tmp_path: Path) -> None:
    new = bundle(tmp_path, NEW, confirm=[1, 1.0])
    for step in range(200):
        dying_at(step, lambda: install.install(new, into))
        assert current(into) in (OLD, NEW), step
        left_over = (into / unconfirmed.NAME).exists()
        install.recovered(into)
        assert not (into / unconfirmed.NAME).exists()
        if left_over:
            assert current(into) == OLD, step
        if current(into) == NEW:
            break
    assert step > 10
    assert current(into) == NEW
    assert (into / "previous" / "engine").read_bytes() == OLD


def test_a_rollback_cut_off_by_a_loss_of_power_is_completed(into: Path, tmp_path: Path) -> None:
    old = (into / "current").resolve().name
    new = install.install(bundle(tmp_path, NEW), into)["version"]
    for step in range(50):
        unconfirmed.link(into / "current", old)
        unconfirmed.begin(into, new)
        unconfirmed.link(into / "current", new)
        ended = dying_at(step, lambda: install.recovered(into))
        install.recovered(into)
        assert current(into) == OLD
        if ended:
            return
    raise AssertionError("it never ended")


def test_the_program_of_an_unconfirmed_version_starts_the_one_before(into: Path, tmp_path: Path) -> None:
    first = install.install(bundle(tmp_path, b"first", "print('the old program')"), into)["version"]
    second = install.install(bundle(tmp_path, NEW, (RUNTIME / "run.py").read_text()), into)["version"]
    (into / "current" / "runtime").symlink_to(RUNTIME)
    unconfirmed.link(into / "current", first)
    unconfirmed.begin(into, second)
    unconfirmed.link(into / "current", second)
    command = [sys.executable, str(into / "current" / "run"), "picture.png"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "the old program\n"
    assert (into / "current").resolve().name == first


def test_while_an_installation_is_under_way_nothing_goes_back(into: Path) -> None:
    unconfirmed.begin(into, "another")
    with install.locked(into):
        assert not install.recovered(into)
    assert install.main(["--recover", "--into", str(into)]) == 0
    assert not (into / unconfirmed.NAME).exists()


@pytest.mark.parametrize("said", ["nothing", "[]", "[" * 100_000, "\x1b[2J"])
def test_a_self_test_without_a_result_is_a_named_error(
    said: str, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    odd = bundle(tmp_path, NEW, f"import sys; sys.stdout.buffer.write({said!r}.encode() + bytes([255]))")
    assert install.main([str(odd), "--into", str(into)]) == 1
    errors = capsys.readouterr().err
    assert "which is not a result; nothing was switched" in errors
    assert "\x1b" not in errors
    assert current(into) == OLD
