"""Every stage's key counts the source files that decide what it writes."""

import ast
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import resolve_name
from inspect import isabstract
from pathlib import Path

import pytest

import pipeline.stages
from pipeline.cache.code_at_start import PACKAGES, ROOT
from pipeline.cache.own_code import BY_NAME, WITHOUT_EFFECT, imported, reached
from pipeline.cache.stage import Stage

for module in pkgutil.iter_modules(pipeline.stages.__path__):
    import_module(f"pipeline.stages.{module.name}")


def concrete(kind: type[Stage]) -> Iterator[type[Stage]]:
    """Yield the stages that can run, of whatever base class."""
    for each in kind.__subclasses__():
        if not isabstract(each):
            yield each
        yield from concrete(each)


OURS = [stage for stage in concrete(Stage) if stage.__module__.startswith("pipeline.")]


def counted(stage: type[Stage]) -> set[str]:
    return {path.relative_to(ROOT).as_posix() for place in stage.sources() for path in reached(place)}


def excepted(name: str) -> bool:
    return any(Path(name).is_relative_to(place) for place in WITHOUT_EFFECT)


LOADED = """
import gc, importlib, json, os, sys
import numpy, pydantic, rich.console  # once: what is not ours counts for no stage
gc.disable()
begun = set(sys.modules)
for name in sys.argv[1:]:
    if os.fork() == 0:
        importlib.import_module(name)
        files = [getattr(sys.modules[one], "__file__", None) for one in sys.modules.keys() - begun]
        print(json.dumps({name: sorted(filter(None, files))}), flush=True)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"{name} cannot be imported")
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Our files that Python loads with each module of a stage, in a process that has loaded no other."""
    command = [sys.executable, "-c", LOADED, *sorted({stage.__module__ for stage in OURS})]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    files = {name: files for line in done.stdout.splitlines() for name, files in json.loads(line).items()}
    ours = {
        name: {Path(file).relative_to(ROOT) for file in found if Path(file).is_relative_to(ROOT)}
        for name, found in files.items()
    }
    return {
        name: {file.as_posix() for file in found if file.parts[0] in PACKAGES} for name, found in ours.items()
    }


@pytest.mark.parametrize("stage", OURS, ids=lambda stage: stage.name)
def test_it_counts_what_python_loads_with_it(stage: type[Stage], loaded: dict[str, set[str]]) -> None:
    found = loaded[stage.__module__]
    assert Path(*stage.__module__.split(".")).with_suffix(".py").as_posix() in found
    assert {name for name in found - counted(stage) if not excepted(name)} == set()


@pytest.mark.parametrize(
    ("stage", "files"),
    [
        ("sample", ["pipeline/data/masks.py", "targets/reference.py", "targets/tvm/convert.py"]),
        ("compile", ["targets/devices.toml", "targets/runtime/cpu.py"]),
        ("export", ["pipeline/data/split.py", "pipeline/models/resnet.py"]),
        ("adopt", ["calibration/onnx_graph.py", "pipeline/models/foreign/normal_form/pooling.py"]),
        ("mix", ["calibration/explore/mixed_precision.py", "pipeline/report/model/float_layers.py"]),
        ("report", ["calibration/coverage.py"]),
        ("bundle", ["targets/runtime/run.py", "pipeline/bundle/signing.py"]),
    ],
)
def test_it_counts_what_used_to_be_left_out(stage: str, files: list[str]) -> None:
    (found,) = (each for each in OURS if each.name == stage)
    assert set(files) <= counted(found)


SHOWS = ("pages", "sections", "section.py", "table.py", "plots.py", "lines.py", "terminal.py", "markdown.py")
"""What only shows records, in pipeline/report."""
SHOWING = {"report", "bundle"}
"""The stages that write the report, or pack it."""


@pytest.mark.parametrize("stage", OURS, ids=lambda stage: stage.name)
def test_what_only_shows_a_measurement_is_in_the_key_of_none(stage: type[Stage]) -> None:
    folder = Path("pipeline/report")
    places = [folder / name for name in SHOWS]
    assert all((ROOT / place).exists() for place in places)
    found = {name for name in counted(stage) if any(Path(name).is_relative_to(place) for place in places)}
    assert bool(found) == (stage.name in SHOWING), found


def test_imports_are_found_as_the_parser_finds_them() -> None:
    """In every file of ours: within functions, over several lines, relative ones, modules of packages."""
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        package = ".".join(path.parent.relative_to(ROOT).parts)
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                dots = "." * node.level + (node.module or "")
                module = resolve_name(dots, package) if node.level else dots
                names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
        files = {ROOT.joinpath(*name.split(".")).with_suffix(".py") for name in names}
        files |= {ROOT.joinpath(*name.split("."), "__init__.py") for name in names}
        wanted = {file for file in files if file.is_file() and file.relative_to(ROOT).parts[0] in PACKAGES}
        assert wanted <= imported(path), path


def test_data_beside_code_counts() -> None:
    kinds = {Path(name).suffix for stage in OURS for name in counted(stage)}
    beside = {path.suffix for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    assert kinds >= beside - {".pyc", ".md", ".typed", ""}  # py.typed is for checkers of types


def test_exceptions_are_there_and_have_reasons() -> None:
    assert all((ROOT / place).exists() and reason for place, reason in WITHOUT_EFFECT.items())
    assert all((ROOT / place).exists() and (ROOT / named).is_dir() for place, named in BY_NAME.items())


def test_a_place_without_sources_is_a_bug() -> None:
    with pytest.raises(FileNotFoundError, match="`code` names it"):
        reached(ROOT / "pipeline" / "nowhere")
