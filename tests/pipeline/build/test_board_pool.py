"""Boards with the same label: one that fails is set aside, and another finishes its work."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.build.board_pool import NoBoardLeftError, on_boards_alike, put_aside, set_aside, take_back
from pipeline.cli.app import run
from pipeline.config import BuildConfig
from pipeline.errors import UsageError
from pipeline.known_devices import add_device, devices_file, find_device, known_devices, labelled
from pipeline.progress import Advance, Silent
from pipeline.units.workers import Here
from targets.errors import EngineError
from targets.reach.leased_board import run_alone, taken
from targets.reach.ssh import SshAddress, SshDevice
from tests.pipeline.units.sums import Sum, ThrottledSum
from tests.targets.reach.sshd import Sshd, needs_sshd, running_pair


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boards that are alike, and one that is not."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("one", "two"):
        add_device(name, SshAddress(name), labels=["pi5", "lab"])
    add_device("other", SshAddress("nowhere.invalid"))


@pytest.fixture
def pair(
    named: None,  # noqa: ARG001 - the names of the two
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Sshd, Sshd]]:
    with running_pair(tmp_path, monkeypatch) as servers:
        yield servers


class KeptWords(Silent):
    """Keeps all messages."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    @contextmanager
    def task(self, what: str, total: int | None) -> Iterator[Advance]:
        yield lambda _: None


ANY_PI = BuildConfig(device="any:pi5")


@pytest.mark.usefixtures("named")
def test_labels_are_kept_and_found() -> None:
    assert [device.name for device in labelled("any:pi5")] == ["one", "two"]
    assert labelled("one") == labelled("ssh://one") == []
    assert find_device("any:lab") == SshAddress("one")
    add_device("two", SshAddress("moved"))
    assert known_devices()["two"].labels == ("pi5", "lab"), "a new address is the same board"
    with pytest.raises(UsageError, match=r"Did you mean 'pi5'\? Labels: lab, pi5\."):
        labelled("any:pi6")
    with pytest.raises(UsageError, match="its label"):
        add_device("three", SshAddress("x"), labels=["Pi 5"])
    for wrong in ('"pi5"', "[3]", '["a b"]'):
        devices_file().write_text(f'[a]\naddress = "ssh://a"\nlabels = {wrong}\n')
        with pytest.raises(UsageError, match=r"devices\.toml cannot be used"):
            known_devices()


def test_a_given_device_is_used_as_it_is() -> None:
    for device in (None, "ssh://x", "a, b"):
        assert on_boards_alike(BuildConfig(device=device), lambda config: config.device, Silent()) == device


@needs_sshd
@pytest.mark.usefixtures("pair")
def test_a_free_board_is_used() -> None:
    with taken(SshDevice(find_device("one"))):
        assert on_boards_alike(ANY_PI, lambda config: config.device, Silent()) == "two"


@needs_sshd
def test_a_measurement_whose_connection_is_cut_is_repeated_on_the_like(pair: tuple[Sshd, Sshd]) -> None:
    heard, tried = KeptWords(), []

    def build(config: BuildConfig) -> str:
        assert config.device is not None
        tried.append(config.device)
        if config.device == "one":
            pair[0].stop()
            threading.Timer(0.5, pair[0].cut).start()
            run_alone(SshDevice(find_device("one")), ["sleep", "60"])
        return run_alone(SshDevice(find_device(config.device)), ["echo", "measured"]).stdout

    assert on_boards_alike(ANY_PI, build, heard) == "measured\n"
    assert tried == ["one", "two"]
    assert heard.lines[0].startswith("one is set aside: ssh://one: ")
    assert on_boards_alike(ANY_PI, build, heard) == "measured\n"
    assert tried == ["one", "two", "two"], "a board that is set aside is not tried"
    assert list(set_aside()) == ["one"]


@needs_sshd
@pytest.mark.usefixtures("pair")
def test_a_unit_that_fails_on_a_worker_by_its_board_is_repeated_on_the_like() -> None:
    def build(config: BuildConfig) -> int:
        unit = ThrottledSum if config.device == "one" else Sum
        (done,) = Here().run([unit((1, 2), board=config.device)], Silent())
        return done.value()

    assert on_boards_alike(ANY_PI, build, Silent()) == 3
    assert list(set_aside()) == ["one"]


@needs_sshd
def test_when_none_is_left_all_reasons_are_said_and_a_check_takes_a_board_back(
    pair: tuple[Sshd, Sshd], capsys: pytest.CaptureFixture[str]
) -> None:
    for server in pair:
        server.stop()
    with pytest.raises(NoBoardLeftError) as refused:
        on_boards_alike(ANY_PI, lambda config: config.device, Silent())
    assert "one: ssh://one" in str(refused.value)
    assert "two: ssh://two" in str(refused.value)
    assert set(set_aside()) == {"one", "two"}
    pair[0].start()
    assert run(["devices", "status", "one"]) == 1
    assert "set aside" in " ".join(capsys.readouterr().out.split())
    assert str(refused.value).endswith("edgec devices check one")
    assert run(["devices", "check", "one"]) == 0
    assert on_boards_alike(ANY_PI, lambda config: config.device, Silent()) == "one"


@needs_sshd
@pytest.mark.usefixtures("pair")
def test_everybody_sees_who_has_a_board_and_how_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with taken(SshDevice(find_device("one")), owner="kim@desk"):
        assert run(["devices", "status", "one", "two", "--json"]) == 0
    one, two = json.loads(capsys.readouterr().out)
    assert one["state"]["holder"]["owner"] == "kim@desk"
    assert two["state"]["holder"] is None
    assert one["state"]["free_bytes"] > 0
    assert run(["devices"]) == 1, "the third cannot be reached"
    assert "nowhere.invalid" in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("named")
def test_an_error_that_is_not_the_boards_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.build.board_pool.look", lambda _: FreeBoard())

    def build(_: BuildConfig) -> None:
        raise EngineError("the engine is wrong")

    with pytest.raises(EngineError):
        on_boards_alike(ANY_PI, build, Silent())
    assert set_aside() == {}


class FreeBoard:
    unfit = ""
    waiting = ()
    holder = None


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("content", ["{", "[]", "3", '{"reason": "x"}', '{"reason": "x", "until": 1.0}'])
def test_a_damaged_record_and_one_of_long_ago_set_no_board_aside(content: str) -> None:
    put_aside("one", "x")
    assert list(set_aside()) == ["one"]
    (devices_file().parent / "set_aside" / "one.json").write_text(content)
    assert set_aside() == {}
    take_back("one")


@pytest.mark.usefixtures("named")
def test_clients_that_set_boards_aside_at_once_lose_none() -> None:
    names = [f"board-{n}" for n in range(16)]
    with ThreadPoolExecutor(16) as clients:
        list(clients.map(lambda name: put_aside(name, "no power"), names))
    assert sorted(set_aside()) == sorted(names)
    with ThreadPoolExecutor(16) as clients:
        list(clients.map(take_back, names[1:]))
    assert list(set_aside()) == ["board-0"]
