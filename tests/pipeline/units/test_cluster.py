"""Workers of a cluster: killed, stopped, of another processor, without a scheduler. Results stay the same."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster, Worker

from pipeline.build.counted_tuning import count_tiles, tuning_units
from pipeline.build.plan import Build
from pipeline.build.requested_unit import TuningRequest, read_request
from pipeline.cache.digest import RememberedDigests
from pipeline.cache.store import Store
from pipeline.cli.app import run
from pipeline.config import BuildConfig, load_config
from pipeline.matrix.planned_rows import PlannedRow
from pipeline.matrix.run_matrix import run_matrix
from pipeline.matrix.shared_rows import SharedRows
from pipeline.progress import Silent
from pipeline.stages import answer, observe_part
from pipeline.units import cluster, digest_unit
from pipeline.units.cluster import ClusterError, DaskWorkers
from pipeline.units.digest_unit import share_digests
from pipeline.units.open_workers import open_workers
from pipeline.units.workers import Here, Workers
from targets.reach import emulator
from tests.pipeline.units.sums import HeldSum, Sum
from tests.targets.needs import or_skip
from tests.targets.tvm.qdq_model import QdqModel

pytestmark = pytest.mark.slow
AXES = "default", "reference", "none"


class HeardLines(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def first_at_work(folder: Path) -> int:
    """Wait for a worker to begin with a unit in `folder`, and return its process."""
    while not (found := list(folder.glob("by-*"))):
        time.sleep(0.02)
    return int(found[0].name.removeprefix("by-"))


@pytest.fixture(scope="module")
def workers() -> Iterator[DaskWorkers]:
    with open_workers("local:2") as found:
        assert isinstance(found, DaskWorkers)
        yield found


def test_units_end_as_in_this_process(workers: DaskWorkers) -> None:
    units = [Sum((1, 2)), Sum((3,), has_float_bits=True), Sum(()), Sum((0,))]
    ended = {one.unit: one for one in workers.run(units, Silent())}
    assert [ended[unit].result for unit in units] == [3, 3, None, None]
    refused, bug = (ended[unit].failure for unit in units[2:])
    assert refused is not None
    assert (refused.message, refused.log) == ("There are no numbers. Give some.", "adding 0 numbers\n")
    assert bug is not None
    assert bug.is_bug


def test_what_a_killed_worker_did_another_does(workers: DaskWorkers, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()

    def kill() -> None:
        os.kill(first_at_work(tmp_path), signal.SIGKILL)
        (tmp_path / "hold").unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    units = [HeldSum((number,), folder=tmp_path, has_float_bits=True) for number in range(1, 5)]
    assert sorted(one.value() for one in workers.run(units, Silent())) == [1, 2, 3, 4]
    killer.join()


def test_a_unit_waits_for_the_next_worker_if_all_were_killed(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()

    def kill() -> None:
        os.kill(first_at_work(tmp_path), signal.SIGKILL)
        (tmp_path / "hold").unlink()

    killer = threading.Thread(target=kill)
    killer.start()
    with open_workers("local:1") as workers:
        (done,) = workers.run([HeldSum((5,), folder=tmp_path, has_float_bits=True)], Silent())
    killer.join()
    assert done.value() == 5


def test_the_same_command_on_workers_gives_the_same_bytes(
    workers: DaskWorkers, out: Path, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "UNIT_IMAGES", 128)
    monkeypatch.setattr(observe_part, "PART_IMAGES", 10)
    for name in ("alone", "shared"):
        shutil.copytree(out, tmp_path / name, copy_function=shutil.copy2)
    shutil.rmtree(tmp_path / "shared" / "store" / "products" / "calibrate")
    alone = Build(load_config(BuildConfig, quick, {"out": tmp_path / "alone"}), Silent())
    shared = Build(load_config(BuildConfig, quick, {"out": tmp_path / "shared"}), Silent(), workers)
    assert alone.accuracy.product.digest == shared.accuracy.product.digest
    answers = [step for step in shared.steps if step.stage == "answer"]
    assert len(answers) > 1
    observed = [step for step in shared.steps if step.stage == "observe"]
    assert len(observed) == 4, "32 images"
    assert all(step.cached for step in (*answers, *observed)), "the workers made them"
    assert alone.ranges.product.digest == shared.ranges.product.digest
    assert alone.ranges.product.key == shared.ranges.product.key
    for unit in (shared.units[0], shared.calibration_parts[1]):
        digest = unit.key()
        assert read_request(shared.store.root, digest[:10])[0] == digest
        assert run(["unit", "run", digest[:12], "--out", str(tmp_path / "shared")]) == 0
    assert run(["unit", "run", "0123", "--out", str(tmp_path / "shared")]) == 2


def test_workers_digest_the_pictures_of_a_folder(
    workers: DaskWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digest_unit, "UNIT_FILES", 3)
    monkeypatch.setattr(RememberedDigests, "RACY_NS", -1)  # the files are new
    files = [tmp_path / "photos" / f"{number}.png" for number in range(7)]
    files[0].parent.mkdir()
    for number, file in enumerate(files):
        file.write_bytes(bytes([number]))
    known = RememberedDigests(tmp_path / "digests.json")
    share_digests(files[0].parent, known, workers, Silent())
    assert all(known.has(file) for file in files)
    assert [known(file) for file in files] == [sha256(bytes([number])).hexdigest() for number in range(7)]


def test_tiles_that_workers_count_are_those_of_one_process(workers: DaskWorkers, tmp_path: Path) -> None:
    or_skip(emulator.check)
    m = QdqModel(8, 8, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 16, 3)), 0.5, 0)
    x = m.quantized(m.node("Relu", m.conv(x, 32, 16)), 2.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.5, 0)
    model = m.save(m.gemm(m.node("Flatten", x), 7, 32), tmp_path / "model.onnx")
    request = TuningRequest(model=str(model), target="rpi5", tiles=2)
    units = tuning_units(request)
    stores = Store(tmp_path / "alone" / "store"), Store(tmp_path / "shared" / "store")
    places: tuple[Workers, Workers] = Here(), workers
    for store, those in zip(stores, places, strict=True):
        assert len(list(count_tiles(request, store, those, Silent()))) == len(units) == 3
    assert all(store.holds(unit) for store in stores for unit in units)
    assert all(len({store.make(unit, Silent()).digest for store in stores}) == 1 for unit in units)
    assert run(["unit", "run", units[0].key()[:12], "--out", str(tmp_path / "shared")]) == 0


def test_rows_of_a_matrix_are_built_wherever_the_workers_were_started(
    workers: DaskWorkers, warm_out: Path, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(warm_out.parent)
    config = load_config(BuildConfig, quick, {"out": Path(warm_out.name)})
    lost = config.model_copy(update={"checkpoint": Path("lost.pth")})
    rows = [PlannedRow(*row) for row in (("a", *AXES, config), ("b", *AXES, config), ("c", *AXES, lost))]
    report = run_matrix("release", rows, (), config.out, SharedRows(workers), Silent())
    assert [(row.state, row.stages_run) for row in report.rows] == [("finished", 0)] * 2 + [("failed", 0)]
    assert "lost.pth does not exist" in report.rows[2].problem
    assert "a-reference/report.html" in (warm_out / "release.html").read_text()


def test_a_board_is_reached_by_every_worker_of_this_machine(workers: DaskWorkers) -> None:
    assert [one.value() for one in workers.run([Sum((1,), board="pi5")], Silent())] == [1]


def pretend_other_floats(dask_worker: Worker) -> int:  # noqa: ARG001 - Dask gives it by this name
    """Make this worker compute its canary as a processor with other instructions would."""
    vars(cluster)["canary_digest"] = lambda: "f" * 64
    return os.getpid()


def test_a_worker_with_other_float_bits_gets_integer_units_only() -> None:
    with (
        dask.config.set({"distributed.worker.daemon": False}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as processes,
        Client(processes, set_as_default=False) as client,
    ):
        other = sorted(client.scheduler_info()["workers"])[0]
        client.run(pretend_other_floats, workers=[other])
        workers, heard = DaskWorkers(client), HeardLines()
        floats = [Sum((number,), has_float_bits=True) for number in range(1, 7)]
        ended = list(workers.run(floats, heard))
        assert other not in {one.worker for one in ended}
        assert [f"worker {other} rounds floats differently" in line for line in heard.lines] == [True]
        integers = [Sum((number,)) for number in range(1, 40)]
        assert other in {one.worker for one in workers.run(integers, heard)}
        assert len(heard.lines) == 1, "it is named once"
        with pytest.raises(ClusterError, match=r'No worker reaches board pi5\..* --resources "board:pi5=1"'):
            list(workers.run([Sum((1,), board="pi5")], heard))


def test_no_unit_waits_behind_a_long_one_and_a_worker_that_joins_later_gets_some(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as processes,
        Client(processes, set_as_default=False) as client,
    ):
        workers = DaskWorkers(client)
        held, short = HeldSum((9,), folder=tmp_path), [Sum((number,)) for number in range(1, 5)]
        joining = threading.Thread(target=lambda: (first_at_work(tmp_path), processes.scale(2)))
        joining.start()
        ended = []
        for one in workers.run([held, *short], Silent()):
            ended.append(one.value())
            assert max(map(len, client.processing().values())) <= 1
            if len(ended) == len(short):
                (tmp_path / "hold").unlink()
        joining.join()
    assert ended == [1, 2, 3, 4, 9]


def test_a_stopped_straggler_delays_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "SILENT_S", 3.0)
    (tmp_path / "hold").touch()
    stopped: list[int] = []

    def stop() -> None:
        stopped.append(first_at_work(tmp_path))
        os.kill(stopped[0], signal.SIGSTOP)
        (tmp_path / "hold").unlink()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with open_workers("local:2") as workers:
        units = [HeldSum((number,), folder=tmp_path) for number in range(1, 4)]
        try:
            assert sorted(one.value() for one in workers.run(units, Silent())) == [1, 2, 3]
        finally:
            stopper.join()
            with suppress(ProcessLookupError):  # its nanny was faster
                os.kill(stopped[0], signal.SIGKILL)


def test_a_scheduler_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CONNECT_S", 1)
    said = r"There is no scheduler at tcp://127\.0\.0\.1:1\. Start one"
    with pytest.raises(ClusterError, match=said), open_workers("tcp://127.0.0.1:1"):
        pass


def test_a_scheduler_that_is_killed_is_said_and_the_command_can_be_repeated(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.json"
    program = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    scheduler = subprocess.Popen([*program, "--scheduler-file", str(file)], stderr=subprocess.DEVNULL)
    while not file.exists():
        time.sleep(0.05)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        Client(scheduler_file=str(file), set_as_default=False) as client,
    ):
        workers = DaskWorkers(client)
        killer = threading.Timer(0.5, scheduler.kill)
        killer.start()
        with pytest.raises(ClusterError, match=r"The scheduler was lost\. Finished units are kept"):
            list(workers.run([Sum((1,))], Silent()))
    scheduler.wait()
