"""docs/environment.md has every variable that the code reads, and wrong values are refused by name."""

import re
from collections.abc import Callable

import pytest

from pipeline.errors import UsageError
from pipeline.known_devices import devices_file
from pipeline.models.foreign.tried_apart import is_apart
from pipeline.progress import Silent
from pipeline.training.free_cores import choose_threads
from pipeline.training.processes import joined
from targets.errors import EngineError, TargetUnavailable
from targets.reach.ssh import SshAddress, SshDevice
from targets.runtime.bundle.signature import SignatureError, trusted_keys
from targets.tvm.tuning import database
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "environment.md"
ACCESS = re.compile(
    r"""environ(?:\.get|\.setdefault)?[\[(]["']?(\w+)|["']?\b(\w+)["']? in os\.environ(?!\.)"""
    r"""|getenv\(["'](\w+)|(?:named_folder|_number)\(["'](\w+)"""
)
BY_PARAMETER = {"variable", "name"}
"""How named_folder and _number call it, whose callers name the variable."""


def listed() -> set[str]:
    """The names in the first column of the page's tables."""
    rows = re.findall(r"^\| (`[A-Z].*?) \|", PAGE.read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([A-Z][A-Z0-9_]+)`", row)}


def read_in_python() -> set[str]:
    """The variables that our code reads or sets, by name or by a constant."""
    packages = ("edgec", "pipeline", "calibration", "targets")
    texts = [path.read_text() for top in packages for path in (ROOT / top).rglob("*.py")]
    constants = dict(re.findall(r'^([A-Z_]+) = "(\w+)"$', "\n".join(texts), re.MULTILINE))
    found = {name for text in texts for groups in ACCESS.findall(text) for name in groups if name}
    return {constants.get(name, name) for name in found} - BY_PARAMETER


def test_the_page_has_every_variable_and_no_other() -> None:
    found = read_in_python() | {"HOME", "ZIG_GLOBAL_CACHE_DIR"}  # by Path.home(), and in a copy for zig
    native = [path for path in (ROOT / "targets").rglob("*.c*") if path.suffix in (".c", ".cpp")]
    found |= {name for path in native for name in re.findall(r'getenv\("(\w+)"', path.read_text())}
    scripts = "".join((ROOT / "scripts" / name).read_text() for name in ("setup.sh", "fuzz.sh"))
    found |= set(re.findall(r"\$\{([A-Z_]+):-", scripts))
    found |= set(re.findall(r"^([A-Z]+) \?=", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert len(found) > 25
    assert listed() | {"SECONDS_EACH"} == found


def started_by_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "one")
    with joined():
        pass


BOARD = SshDevice(SshAddress("x"))
WRONG: dict[str, tuple[str, Callable[[], object], type[Exception]]] = {
    "a device for tuned sizes": ("EDGEC_TUNED=/dev/null", database.users, EngineError),
    "a path from here for tuned sizes": ("EDGEC_TUNED=tuned", database.users, EngineError),
    "a file for data": ("XDG_DATA_HOME=/etc/passwd", database.users, EngineError),
    "a file for devices": ("XDG_CONFIG_HOME=/etc/passwd", devices_file, UsageError),
    "a path from here for keys": ("XDG_CONFIG_HOME=config", trusted_keys, SignatureError),
    "a device for keys": ("XDG_CONFIG_HOME=/dev/null", trusted_keys, SignatureError),
    "a folder for ssh": (
        "EDGEC_SSH_CONFIG=/",
        lambda: SshDevice(SshAddress("x")).run(["true"]),
        TargetUnavailable,
    ),
    "no threads": ("OMP_NUM_THREADS=0", lambda: choose_threads(None, Silent()), UsageError),
    "threads in words": ("OMP_NUM_THREADS=two", lambda: choose_threads(None, Silent()), UsageError),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_value_is_refused_by_name(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    setting, use, error = WRONG[what]
    variable, value = setting.split("=")
    monkeypatch.setenv(variable, value)
    with pytest.raises(error, match=f"^{variable} is '{value}'"):
        use()


@pytest.mark.parametrize("rank", ["", "first", "1e3", "9" * 5000])
def test_a_rank_that_is_no_number_is_refused_by_name(rank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", rank)
    with pytest.raises(UsageError, match=r"^RANK is '.*', not a number"):
        started_by_torchrun(monkeypatch)


def test_nobody_outside_says_that_limits_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEC_TRIED_APART", "1")
    assert not is_apart()
