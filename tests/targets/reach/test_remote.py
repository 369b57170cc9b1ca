"""An engine on a board over SSH: this machine plays the board, so everything but the wire is real."""

import dataclasses
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.base import OnDevice, Origin
from targets.devices import CpuBoard
from targets.errors import DeviceThrottled, EngineError, TargetUnavailable
from targets.reach import remote
from targets.reach.kept_open import kept_open
from targets.reach.remote import start_remote
from targets.reach.sent_files import sent
from targets.registry import find_target
from targets.runtime.machine import MachineState, throttling
from targets.runtime.measure import Measurement, Settings
from targets.tvm import oracle, ssh_board
from targets.tvm.cpu_target import ArmTarget, host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.ssh_board import BoardTarget
from tests.targets.needs import or_skip
from tests.targets.reach.sshd import Sshd, needs_sshd
from tests.targets.tvm.qdq_model import small_classifier

SIDE = 16
QUICK = Settings(min_runs=20, max_runs=20, max_warmup_seconds=0.2)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, IntegerGraph]:
    isa = or_skip(host_isa)
    folder = tmp_path_factory.mktemp("remote")
    graph = import_graph(small_classifier(folder / "model.onnx", SIDE))
    write_engine(graph, isa, folder / "model.engine")
    return folder / "model.engine", graph


@pytest.fixture
def device(sshd: Sshd, tmp_path: Path) -> Iterator[Sshd]:
    sshd.give_this_python(tmp_path / "bin")
    ssh_board.board_facts.cache_clear()
    yield sshd
    ssh_board.board_facts.cache_clear()


def target(device: Sshd, isa: str | None = None) -> BoardTarget:
    return BoardTarget(CpuBoard("here", "this machine", isa or host_isa().name, "max"), device.device)


@needs_sshd
def test_a_board_gets_the_network_that_is_emulated_without_it(sshd: Sshd) -> None:
    pi = CpuBoard("rpi5", "a Raspberry Pi 5", "dotprod", "cortex-a76")
    there, emulated = BoardTarget(pi, sshd.device), ArmTarget(pi)
    assert (there.recipe, there.shipped, there.runner) == (
        emulated.recipe,
        emulated.shipped,
        emulated.runner,
    )


def pictures(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


@needs_sshd
class TestABoard:
    def test_logits_are_those_of_the_oracle_bit_for_bit(
        self, device: Sshd, built: tuple[Path, IntegerGraph]
    ) -> None:
        images = pictures(70)
        with target(device).open(built[0]) as runner:
            found = np.concatenate([runner.infer(images[:50]), runner.infer(images[50:])])
        assert np.array_equal(found.view(np.int32), oracle.run(built[1], images).view(np.int32))

    def test_a_cut_connection_is_made_again(self, device: Sshd, built: tuple[Path, IntegerGraph]) -> None:
        with kept_open("it", lambda: start_remote(device.device, built[0], threads=1)) as runner:
            before = runner.infer(pictures(3))
            threading.Timer(0.0, device.cut).start()
            time.sleep(0.3)
            assert np.array_equal(runner.infer(pictures(3)), before)

    def test_an_engine_that_fails_its_self_test_there_is_an_error(
        self, device: Sshd, built: tuple[Path, IntegerGraph], tmp_path: Path
    ) -> None:
        from targets.runtime.native_runner import FOOTER

        content = bytearray(built[0].read_bytes())
        content[FOOTER.unpack(content[-FOOTER.size :])[5] + SIDE * SIDE * 3] ^= 1
        (tmp_path / "damaged").write_bytes(content)
        (tmp_path / "damaged").chmod(0o755)
        opened = target(device).open(tmp_path / "damaged")
        with pytest.raises(EngineError, match="self-test failed there: FAIL: image 0, logit 0"), opened:
            pass

    def test_time_and_memory_are_measured_there(self, device: Sshd, built: tuple[Path, IntegerGraph]) -> None:
        measured = target(device).measure(built[0], pictures(8), QUICK, threads=1)
        assert len(measured.runs_ns) == 20
        assert measured.memory is not None
        assert measured.before.cores == len(os.sched_getaffinity(0))

    def test_fp32_is_timed_there_in_alternation_with_the_engine(
        self, device: Sshd, built: tuple[Path, IntegerGraph]
    ) -> None:
        here = target(device)
        raced = here.race(built[0], built[0].with_name("model.onnx"), pictures(8), QUICK, threads=1)
        assert raced is not None
        assert [(len(one.runs_ns), one.block) for one in raced] == [(20, QUICK.block)] * 2
        assert here.findings() == ()

    def test_a_board_without_onnxruntime_says_what_was_not_judged(
        self, device: Sshd, built: tuple[Path, IntegerGraph], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_it = target(device).fingerprint()
        facts = dataclasses.replace(ssh_board.board_facts(device.device), onnxruntime=None)
        monkeypatch.setattr(ssh_board, "probe", lambda _: facts)
        ssh_board.board_facts.cache_clear()
        here = target(device)
        assert here.race(built[0], built[0].with_name("model.onnx"), pictures(8), QUICK, threads=1) is None
        (finding,) = here.findings()
        assert finding.outcome == "skipped"
        assert "(min_speedup) was not judged: its Python has no onnxruntime" in finding.message
        assert here.fingerprint() != with_it  # installed later, it is measured again

    def test_a_network_that_the_boards_onnxruntime_refuses_ends_no_build(
        self, device: Sshd, built: tuple[Path, IntegerGraph], tmp_path: Path
    ) -> None:
        (tmp_path / "model.onnx").write_bytes(b"no network")
        here = target(device)
        assert here.race(built[0], tmp_path / "model.onnx", pictures(8), QUICK, threads=1) is None
        (finding,) = here.findings()
        assert "onnxruntime refuses" in finding.message

    def test_nothing_is_sent_twice(self, device: Sshd, built: tuple[Path, IntegerGraph]) -> None:
        names = [sent(device.device, built[0]) for _ in range(2)]
        assert names[0] == names[1]
        assert len(list((device.home / "edgec" / "measured").iterdir())) == 1

    def test_its_description_names_the_board(self, device: Sshd) -> None:
        here = target(device)
        here.check()
        assert isinstance(here, OnDevice)
        assert here.origin is Origin.DEVICE
        assert str(len(os.sched_getaffinity(0))) + " cores" in here.device()
        assert here.device() in here.fingerprint()

    def test_an_engine_for_another_processor_is_refused_before_it_is_sent(self, device: Sshd) -> None:
        with pytest.raises(TargetUnavailable, match=r"engines for here are for aarch64"):
            target(device, "dotprod").check()


STATE = MachineState(("performance",), (2400.0,), 51.0, 3, 0.2, 4)


@pytest.mark.parametrize(
    ("before", "after", "reasons"),
    [
        ({}, {}, ()),
        ({"throttle_events": None}, {"throttle_events": None}, ()),
        ({"limits_since_boot": ("under-voltage",)}, {"limits_since_boot": ("under-voltage",)}, ()),
        ({}, {"throttle_events": 5}, ("2 throttle events",)),
        ({"limits": ("throttled",)}, {}, ("throttled",)),
        ({}, {"limits": ("under-voltage",)}, ("under-voltage",)),
        ({}, {"limits_since_boot": ("frequency capped",)}, ("frequency capped",)),
    ],
)
def test_what_held_the_clocks_down_is_named(
    before: dict[str, object], after: dict[str, object], reasons: tuple[str, ...]
) -> None:
    assert throttling(STATE._replace(**before), STATE._replace(**after)) == reasons  # type: ignore[arg-type]


class Throttling:
    """A device that throttles in its first measurements."""

    address = "ssh://pi"

    def __init__(self, times: int) -> None:
        self.times = times
        self.measured = 0

    def run(self, argv: list[str]) -> "Done":
        self.measured += 1
        limits = ("under-voltage",) if self.measured <= self.times else ()
        made = Measurement((1, 2), 1, 0, 1, True, "precise", 0.0, STATE, STATE._replace(limits=limits), None)
        return Done(0, json.dumps([dataclasses.asdict(made)]), "")


@dataclasses.dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def no_cooling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "COOLING_SECONDS", 0)
    monkeypatch.setattr(remote, "run_alone", Throttling.run)  # the double has no leases


@pytest.mark.usefixtures("no_cooling")
def test_a_device_that_cooled_down_is_measured_again() -> None:
    device = Throttling(times=2)
    (found,) = remote.measure_unthrottled(device, ["measure"], Settings(), 1)  # type: ignore[arg-type]  # a double
    assert found.runs_ns == (1, 2)
    assert device.measured == 3


@pytest.mark.usefixtures("no_cooling")
def test_a_throttled_measurement_is_no_result() -> None:
    device = Throttling(times=99)
    with pytest.raises(DeviceThrottled, match=r"under-voltage\): no result"):
        remote.measure_unthrottled(device, ["measure"], Settings(), 1)  # type: ignore[arg-type]  # a double


@pytest.mark.parametrize("name", ["host", "reference"])
def test_targets_that_are_no_boards_have_no_device(name: str) -> None:
    with pytest.raises(TargetUnavailable, match="not reached over SSH"):
        find_target(name, "ssh://pi")


def read_from(tmp_path: Path, files: dict[str, str]) -> MachineState:
    from targets.runtime.machine import read_state

    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return read_state(tmp_path)


def test_a_raspberry_pi_tells_what_limits_it_now_and_did_since_boot(tmp_path: Path) -> None:
    state = read_from(tmp_path, {"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"})
    assert state.limits == ("throttled", "under-voltage")
    assert state.limits_since_boot == ("under-voltage", "throttled")


def test_cooling_by_slower_clocks_is_told_and_fans_are_not(tmp_path: Path) -> None:
    thermal = "sys/class/thermal/cooling_device"
    files = {f"{thermal}0/type": "cpufreq-cpu0", f"{thermal}0/cur_state": "2", f"{thermal}1/type": "pwm-fan"}
    state = read_from(tmp_path, {**files, f"{thermal}1/cur_state": "3"})
    assert state.limits == ("cooled by slowing cpufreq-cpu0",)
