"""Units of a validation, of corrupted images and of layers, shared out, give the bytes of one machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.tiny_network import write_tiny_network
from pipeline.build.plan import Build
from pipeline.cli.app import run
from pipeline.config import BuildConfig, load_config
from pipeline.data.embedded import EMBEDDED
from pipeline.progress import Silent
from pipeline.stages import answer
from pipeline.units.open_workers import open_workers
from pipeline.units.workers import Here

FILES = {"validate": "accuracy.json", "robustness": "robustness.json", "attribute": "sensitivity.json"}
KINDS = ("answer", "corrupt", "attribute-layer")
SHARES = 4


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny network on 150 images, which are three units."""
    folder = tmp_path_factory.mktemp("units")
    file = folder / "tiny.build.toml"
    file.write_text(
        f'model = "{write_tiny_network(folder)}"\ndata = "{EMBEDDED}"\ntarget = "reference"\n'
        "[validation]\nimages = 150\nrobustness = 130\nsensitivity = 140\n[calibration]\nimages = 16\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(answer, "UNIT_IMAGES", 64)
        yield file


def opened(config: Path, out: Path) -> Build:
    return Build(load_config(BuildConfig, config, {"out": out}), Silent())


@pytest.fixture(scope="module")
def alone(config: Path) -> Path:
    """The folder of a machine that did everything."""
    build = opened(config, config.parent / "alone")
    _ = build.accuracy, build.robustness, build.sensitivity
    kinds = [step.stage for step in build.steps if step.stage in KINDS]
    assert [kinds.count(kind) for kind in KINDS] == [3, 3, 3 * 3]
    return build.config.out


def bytes_below(out: Path) -> dict[str, bytes]:
    found = {}
    for stage, name in FILES.items():
        (file,) = out.glob(f"store/products/{stage}/*/{name}")
        found[name] = file.read_bytes()
    return found


def test_merged_shares_have_the_bytes_of_one_machine(config: Path, alone: Path, tmp_path: Path) -> None:
    parts = []
    for number in range(1, SHARES + 1):
        machine = shutil.copytree(alone, tmp_path / f"machine{number}", copy_function=shutil.copy2)
        for stage in (*FILES, *KINDS):
            shutil.rmtree(machine / "store" / "products" / stage)
        parts.append(str(tmp_path / f"part{number}"))
        share = ["--shard", f"{number}/{SHARES}", "--part", parts[-1]]
        assert run(["validate", "--config", str(config), "--out", str(machine), *share]) == 0
    merged = tmp_path / "merged"
    build = opened(config, merged)
    assert run(["merge", *reversed(parts), "--config", str(config), "--out", str(merged)]) in (0, 1, 5)
    assert bytes_below(merged) == bytes_below(alone)
    assert all(build.store.holds(unit) for unit in build.all_units)


@pytest.mark.slow
def test_workers_make_the_bytes_of_one_machine(config: Path, alone: Path, tmp_path: Path) -> None:
    with open_workers("local:2") as workers:
        shared = Build(load_config(BuildConfig, config, {"out": tmp_path}), Silent(), workers)
        _ = shared.accuracy, shared.robustness, shared.sensitivity
    assert all(step.cached for step in shared.steps if step.stage in KINDS), "the workers made them"
    assert bytes_below(tmp_path) == bytes_below(alone)


def test_a_unit_of_each_kind_is_repeated_with_the_same_bytes(
    config: Path, alone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = opened(config, alone)
    build.workers = OthersWorkers()
    build.share_out(build.all_units, "all")
    for unit in (build.units[1], build.robustness_units[2], build.sensitivity_units[3]):
        capsys.readouterr()
        assert run(["unit", "run", unit.key()[:12], "--out", str(alone)]) == 0
        assert f"{unit.name}: the same bytes" in capsys.readouterr().out


class OthersWorkers:
    """Workers of another kind than this process, which do units all the same."""

    count = 1
    run = Here().run
