"""What every target must do. A new target joins by its line in the registry.

CANNOT is the visible list of what a target cannot do, with the reason; each entry is a skip that says so.
"""

import shutil
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.recipe import Scheme
from pipeline.build.plan import Build
from targets.base import EngineRunner, Target
from targets.devices import boards, jetsons
from targets.errors import EngineError, UnknownTarget
from targets.reference import ReferenceTarget
from targets.registry import find_target, names
from tests.conftest import embedded_build
from tests.targets.needs import or_skip

pytestmark = pytest.mark.slow  # each target is built once for all of them

CANNOT: dict[tuple[str, str], str] = {}
"""(target, test) -> why not."""


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory, quick: Path, quick_build: Path) -> dict[Scheme, Build]:
    """The embedded model, quantised in each way that a target may want."""
    out = shutil.copytree(quick_build, tmp_path_factory.mktemp("conformance") / "out")
    return {scheme: embedded_build(quick, out, scheme.value) for scheme in Scheme}


@pytest.fixture
def build(builds: dict[Scheme, Build], target: Target) -> Build:
    """The embedded model, quantised in the way that the target wants."""
    return builds[target.recipe.scheme]


@pytest.fixture(scope="session")
def pixels(builds: dict[Scheme, Build]) -> NDArray[np.uint8]:
    build = builds[Scheme.ASYM]
    batches = build.evaluation.subset(range(64)).batches(build.model.preprocessing, 64)
    return next(batches).images


def different_targets() -> list[str]:
    """All targets, but of boards with the same instruction set, or the same kind of GPU, only the first."""
    boards_of = {board.isa: name for name, board in reversed(boards().items())}
    jetsons_of = {module.sm: name for name, module in reversed(jetsons().items()) if not module.refused}
    alike = {*boards(), *jetsons()} - {*boards_of.values(), *jetsons_of.values()}
    return [name for name in names() if name not in alike]


@pytest.fixture(params=different_targets())
def target(request: pytest.FixtureRequest) -> Target:
    name = str(request.param)
    test = request.node.originalname
    if (name, test) in CANNOT:
        pytest.skip(f"{name}: {CANNOT[name, test]}")
    found = find_target(name)
    or_skip(found.check)
    return found


@pytest.fixture(scope="session")
def built() -> dict[str, Path]:
    """Folders with engines by target: building one takes seconds."""
    return {}


@pytest.fixture
def engine(
    target: Target,
    build: Build,
    built: dict[str, Path],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The target's engine, a copy that a test may damage."""
    if target.name not in built:
        folder = tmp_path_factory.mktemp(target.name)
        model, float_model = build.int8_model.path, build.float_model.path
        target.build(model, folder / target.engine_name, float_model=float_model)
        built[target.name] = folder
    shutil.copytree(built[target.name], tmp_path, dirs_exist_ok=True)
    return tmp_path / target.engine_name


@pytest.fixture
def runner(target: Target, engine: Path) -> Iterator[EngineRunner]:
    with target.open(engine) as opened:
        yield opened


def test_it_introduces_itself(target: Target) -> None:
    assert target.name in names()
    assert target.summary
    assert target.fingerprint() == target.fingerprint() != ""
    assert type(target.recipe).parse(target.recipe.name) == target.recipe
    assert all(version(package) for package in target.packages)


def test_all_that_is_shipped_is_there_after_a_build(target: Target, engine: Path) -> None:
    assert target.engine_name in target.shipped
    assert all((engine.parent / name).stat().st_size > 0 for name in target.shipped)


def test_it_gives_float_logits_for_pixels(
    runner: EngineRunner, pixels: NDArray[np.uint8], build: Build
) -> None:
    logits = runner.infer(pixels[:3])
    assert logits.shape == (3, build.classes)
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()


def test_the_same_pixels_give_the_same_bits(runner: EngineRunner, pixels: NDArray[np.uint8]) -> None:
    assert np.array_equal(runner.infer(pixels[:8]), runner.infer(pixels[:8]))  # an emulator takes its time


def test_an_image_does_not_depend_on_its_batch(runner: EngineRunner, pixels: NDArray[np.uint8]) -> None:
    together = runner.infer(pixels[:8])
    alone = np.concatenate([runner.infer(pixels[i : i + 1]) for i in range(8)])
    assert np.array_equal(together.argmax(1), alone.argmax(1))
    assert np.allclose(together, alone, atol=1e-4)


def test_it_agrees_with_the_graph_it_was_built_from(
    runner: EngineRunner, pixels: NDArray[np.uint8], build: Build
) -> None:
    with ReferenceTarget().open(build.int8_model.path) as reference:
        expected = reference.infer(pixels)
    logits = runner.infer(pixels)
    assert np.mean(logits.argmax(1) == expected.argmax(1)) >= 0.98
    assert np.square(logits - expected).sum() <= 0.01 * np.square(expected).sum()


def test_building_twice_gives_the_same_bytes(
    target: Target, engine: Path, build: Build, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    target.build(build.int8_model.path, again)
    assert again.read_bytes() == engine.read_bytes()


def test_a_missing_engine_is_an_error(target: Target, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no engine"), target.open(tmp_path / "none"):
        pass


@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_a_damaged_engine_is_an_error(target: Target, engine: Path, damage: str) -> None:
    whole = engine.read_bytes()
    engine.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "noise": b"\x99" * 1000}[damage])
    with pytest.raises(EngineError), target.open(engine) as runner:
        runner.infer(np.zeros((1, 32, 32, 1), np.uint8))


def test_a_model_that_is_no_onnx_is_an_error(target: Target, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError):
        target.build(tmp_path / "model.onnx", tmp_path / "engine")
    assert not (tmp_path / "engine").exists()


def test_an_unknown_target_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(UnknownTarget, match="Did you mean 'reference'"):
        find_target("referense")


def test_every_exception_in_the_list_is_about_something_that_exists() -> None:
    for name, test in CANNOT:
        assert name in names()
        assert test in globals()
