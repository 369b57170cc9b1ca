"""Tuning: what is tried, how it is compared, and that what is remembered is what builds use."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import app
from targets.devices import boards
from targets.errors import EngineError
from targets.reach import emulator
from targets.runtime.native_runner import open_engine
from targets.tvm import oracle, schedule
from targets.tvm.cpu_target import host_isa
from targets.tvm.engine_file import write_engine
from targets.tvm.importer import import_graph
from targets.tvm.integer_graph import IntegerGraph
from targets.tvm.isa import ISAS
from targets.tvm.tile import ConvShape, Tile
from targets.tvm.tuning import database
from targets.tvm.tuning.assembly import dots, dots_a_cycle, inner_loops, spills
from targets.tvm.tuning.cost import Counted, TimedHere
from targets.tvm.tuning.harness import build
from targets.tvm.tuning.search import Convolution, convolutions, tune
from tests.targets.needs import or_skip
from tests.targets.reach.sshd import needs_sshd, running_sshd
from tests.targets.tvm.qdq_model import QdqModel
from tests.targets.tvm.random_graphs import pictures

SHAPE = ConvShape(8, 8, 64, 16, 9, 64)


@pytest.fixture(autouse=True)
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tuned"
    monkeypatch.setenv("EDGEC_TUNED", str(folder))
    database.load.cache_clear()
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    m = QdqModel(12, 12, 3)
    x = m.quantized(m.node("Relu", m.conv(m.image(), 64, 3)), 0.5, 0)
    x = m.quantized(m.node("Relu", m.conv(x, 64, 64)), 2.0, 0)
    x = m.quantized(m.node("GlobalAveragePool", x), 0.5, 0)
    return m.save(m.gemm(m.node("Flatten", x), 7, 64), tmp_path_factory.mktemp("tuning") / "model.onnx")


@pytest.fixture(scope="module")
def graph(model: Path) -> IntegerGraph:
    return import_graph(model)


def inner(graph: IntegerGraph, isa: str) -> Convolution:
    """The 3x3 convolution of 64 channels; where minimal filters compute that, the one before it."""
    return max(convolutions(graph, ISAS[isa]), key=lambda c: c.shape.runs * c.shape.granules)


@dataclass
class LastIsBest:
    unit: str = "turns"
    asked: list[int] = field(default_factory=list)

    def __call__(self, program: Path, count: int) -> list[float]:
        assert program.is_file()
        self.asked.append(count)
        return [float(count - i) for i in range(count)]


def entry(tile: Tile) -> database.TunedTile:
    return database.TunedTile(SHAPE.name, tile, 1.0, 2.0, "ns")


def test_what_is_added_is_found_and_replaces_what_was_known(users: Path) -> None:
    isa, tile = ISAS["i8mm"], Tile(1, 2, 4)
    before = database.digest(isa)
    assert database.add([entry(tile)], isa, "any", users).name == "i8mm-any.json"
    assert database.find(SHAPE, isa) == tile
    assert schedule.choose(SHAPE, isa) == tile
    assert database.digest(isa) != before
    database.add([entry(replace(tile, columns=4))], isa, "any", users)
    assert database.find(SHAPE, isa) == Tile(1, 4, 4)


def test_tiles_that_no_longer_fit_are_not_used(users: Path) -> None:
    database.add([entry(Tile(4, 28, 8))], ISAS["i8mm"], "any", users)
    assert schedule.choose(SHAPE, ISAS["i8mm"]) in schedule.candidates(SHAPE, ISAS["i8mm"])


@pytest.mark.parametrize("content", ["[", '[{"shape": "x"}]', '[{"shape": 1, "tile": 2}]', "7"])
def test_a_damaged_file_is_named(users: Path, content: str) -> None:
    users.mkdir()
    (users / "i8mm-any.json").write_text(content)
    with pytest.raises(EngineError, match=r"i8mm-any.json is not a file of edgec tune"):
        database.find(SHAPE, ISAS["i8mm"])


@pytest.mark.parametrize("file", sorted(database.COMMITTED.glob("*.json")), ids=lambda file: file.name)
def test_committed_files_hold_one_tile_a_shape_that_beats_the_estimate(file: Path) -> None:
    entries = database.load(file)
    names = [one.shape for one in entries]
    assert entries
    assert len(set(names)) == len(names)
    assert file.name.partition("-")[0] in ISAS
    assert all(one.cost <= one.estimated for one in entries)


def test_spilled_accumulators_are_seen_in_the_assembly(graph: IntegerGraph) -> None:
    kernel = inner(graph, "dotprod").kernel
    fits, spilled = (replace(kernel, tile=tile) for tile in (Tile(1, 4, 4), Tile(1, 12, 4)))
    assert sum(map(spills, inner_loops(fits))) == 0
    assert [dots(loop, fits.isa) for loop in inner_loops(fits)] == [3 * 4 * 16]
    assert sum(map(spills, inner_loops(spilled))) > 0


def test_each_block_size_of_a_convolution_has_its_inner_loop(graph: IntegerGraph) -> None:
    kernel = replace(inner(graph, "dotprod").kernel, height=8, width=8, tile=Tile(3, 3, 2))
    sizes = {rows * columns for rows in (3, 3, 2) for columns in ((3, 3, 2) if rows == 3 else (4, 4))}
    assert {dots(loop, kernel.isa) for loop in inner_loops(kernel)} == {3 * 4 * 2 * size for size in sizes}


@pytest.mark.skipif(not shutil.which("llvm-mca"), reason="llvm-mca is not installed (apt install llvm)")
def test_inner_loops_keep_an_a76_busy(graph: IntegerGraph) -> None:
    kernel = inner(graph, "dotprod").kernel
    assert (dots_a_cycle(inner_loops(kernel), kernel.isa) or 0) >= 0.95 * 2


def test_the_cheapest_candidate_is_remembered_and_the_engine_stays_exact(
    graph: IntegerGraph, users: Path
) -> None:
    isa = or_skip(host_isa)
    cost = LastIsBest()
    said: list[str] = []
    entries = list(tune(convolutions(graph, isa), isa, cost, said.append, tiles=2))
    assert [one.cost for one in entries] == [1.0] * len(entries)
    assert len(said) == len(entries) == len(cost.asked)
    database.add(entries, isa, database.processor(isa), users)
    assert {c.kernel.tile for c in convolutions(graph, isa)} == {one.tile for one in entries}
    write_engine(graph, isa, users / "engine")
    images = pictures(graph, 2)
    with open_engine(users / "engine", 2) as runner:
        assert np.array_equal(runner.infer(images), oracle.run(graph, images))


def test_candidates_are_timed_here(graph: IntegerGraph, tmp_path: Path) -> None:
    one = inner(graph, or_skip(host_isa).name)
    assert all(cost > 0 for cost in TimedHere(1)(build(_two(one), tmp_path), 2))


def test_candidates_are_counted_in_the_emulator(graph: IntegerGraph, tmp_path: Path) -> None:
    or_skip(emulator.check)
    program = build(_two(inner(graph, "dotprod")), tmp_path)
    counts = [Counted("cortex-a76")(program, 2) for _ in range(2)]
    assert counts[0] == pytest.approx(counts[1], rel=1e-3)  # a stopped emulator repeats a system call
    macs = 12 * 12 * 64 * 64 * 9
    assert all(macs / 16 < count < macs / 16 * 2 for count in counts[0])


def _two(one: Convolution) -> Sequence:  # type: ignore[type-arg]
    return [replace(one.kernel, tile=tile) for tile in schedule.ranked(one.shape, one.kernel.isa)[:2]]


def test_the_command_keeps_its_results_in_the_users_database(model: Path, users: Path) -> None:
    or_skip(emulator.check)
    result = CliRunner().invoke(app, ["tune", str(model), "--target", "rpi5", "--tiles", "2"])
    assert result.exit_code == 0, result.output
    rows = json.loads((users / "dotprod-any.json").read_text())
    assert {row["unit"] for row in rows} == {"instructions"}
    assert len(rows) == 3


@needs_sshd
def test_candidates_are_timed_on_a_device_that_is_reached_over_ssh(
    model: Path, users: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isa = or_skip(host_isa)
    board = replace(boards()["rpi5"], isa=isa.name)  # the device is this machine
    monkeypatch.setattr("targets.devices.boards", lambda: {"rpi5": board})
    with running_sshd(tmp_path / "sshd", monkeypatch) as server:
        device = ["--device", str(server.address), "--milliseconds", "100", "--tiles", "1"]
        result = CliRunner().invoke(app, ["tune", str(model), "--target", "rpi5", *device])
    assert result.exit_code == 0, result.output
    rows = json.loads((users / f"{isa.name}-{database.processor(isa)}.json").read_text())
    assert len(rows) == len(convolutions(import_graph(model), isa))
    assert all(row["unit"] == "ns" and row["cost"] > 0 for row in rows)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.onnx"], "cannot be read"),
        (["MODEL", "--target", "jetson"], "Allowed: host, "),
        (["MODEL", "--device", "ssh://pi"], "--device needs the target"),
    ],
)
def test_wrong_use_is_explained(model: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["tune", *(str(model) if a == "MODEL" else a for a in arguments)])
    assert result.exit_code != 0
    assert message in str(result.exception)
