"""The rules that keep the tree readable, checked on the source itself."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("edgec", "pipeline", "targets", "calibration")
ALLOWED = {
    "edgec": {"edgec", "pipeline", "targets", "calibration"},
    "pipeline": {"pipeline", "targets", "calibration"},
    "targets": {"targets", "calibration"},
    "calibration": {"calibration"},
}
ROOMS: dict[str, set[str]] = {
    "reading": set(),
    "cache": {"reading"},
    "data": {"cache", "reading"},
    "bundle": {"cache", "reading"},
    "report": {"data", "reading"},
    "packages": {"bundle", "cache"},
    "models": {"cache", "data", "reading"},
    "diagnosis": {"data", "models", "report"},
    "stages": {"bundle", "cache", "data", "diagnosis", "models", "reading", "report"},
    "units": {"cache", "reading"},
    "build": {"bundle", "cache", "data", "models", "packages", "reading", "report", "stages", "units"},
    "difference": {"bundle", "data", "models", "reading", "report", "stages"},
    "explanation": {"bundle", "data", "difference", "report"},
    "matrix": {"build", "cache", "models", "reading", "report", "units"},
    "training": {"build", "cache", "data", "models", "report"},
    "cli": {
        "build",
        "bundle",
        "cache",
        "data",
        "diagnosis",
        "difference",
        "explanation",
        "matrix",
        "models",
        "packages",
        "report",
        "stages",
        "training",
        "units",
    },
}
"""The folders of pipeline, and those that each may import from."""
ON_DEVICE = {"numpy", "cv2", "onnxruntime", "tensorrt"}
"""What the runtime may import from outside: the last two only inside the runner of their toolchain."""
SHARED_FILE_NAMES = {
    "errors": "each package has its own, with one base class",
    "camera": "the demo's program, and the frames of a camera: their names are those in bundles that exist",
}
"""File names that occur twice, each with the reason."""


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


class Contents(NamedTuple):
    """What is asked of a file by several tests, which parse it once."""

    plain: tuple[str, ...]
    """The modules of `import module`, wherever it stands."""
    taken: tuple[tuple[str, int, tuple[str, ...]], ...]
    """Module, level and names of `from module import names`."""
    classes: tuple[str, ...]


@cache
def contents(path: Path) -> Contents:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = [node for node in nodes if isinstance(node, ast.Import)]
    taken = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    return Contents(
        tuple(alias.name for node in plain for alias in node.names),
        tuple((node.module or "", node.level, tuple(alias.name for alias in node.names)) for node in taken),
        tuple(node.name for node in nodes if isinstance(node, ast.ClassDef)),
    )


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (absolute module, level) of every import in a file, wherever it stands."""
    found = contents(path)
    yield from ((module, 0) for module in found.plain)
    yield from ((module, level) for module, level, _ in found.taken)


@pytest.mark.parametrize("package", OURS)
def test_imports_never_go_upward(package: str) -> None:
    for path in sources(package):
        for module, level in imports(path):
            top = module.partition(".")[0]
            assert level or top not in OURS or top in ALLOWED[package], f"{path} imports {module}"


def test_the_folders_of_pipeline_build_on_each_other_in_one_direction() -> None:
    folders = {path.name for path in (ROOT / "pipeline").iterdir() if (path / "__init__.py").is_file()}
    assert folders == set(ROOMS)
    assert list(TopologicalSorter(ROOMS).static_order())
    for room, allowed in ROOMS.items():
        for path in sources(f"pipeline/{room}"):
            for module, _ in imports(path):
                other = module.split(".")[1] if module.startswith("pipeline.") else ""
                assert other not in ROOMS.keys() - allowed - {room}, f"{path} imports {module}"


def test_no_files_import_each_other_in_a_circle() -> None:
    """An import inside a function counts: it may put off loading a toolchain, not hide a circle."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for o in OURS for path in sources(o)
    }
    read: dict[str, set[str]] = {}
    for name, path in files.items():
        found = read.setdefault(name.removesuffix(".__init__"), set())
        for given, level, names in contents(path).taken:
            module = resolve_name("." * level + given, name.rpartition(".")[0])
            found |= {module, *(f"{module}.{one}" for one in names)}
    assert list(TopologicalSorter({name: found & set(read) for name, found in read.items()}).static_order())


def test_the_runtime_imports_nothing_of_ours_from_outside() -> None:
    for path in sources("targets/runtime"):
        for module, level in imports(path):
            top = module.partition(".")[0]
            depth = len(path.relative_to(ROOT / "targets/runtime").parts)
            assert level <= depth, f"{path} imports from above the runtime"
            is_program = path.name in ("run.py", "build_on_device.py") and top == "runtime"
            known = level or is_program or top in ON_DEVICE or top in sys.stdlib_module_names
            assert known, f"{path} imports {module}"


def test_python_3_8_reads_the_runtime() -> None:
    for path in sources("targets/runtime"):
        ast.parse(path.read_text(), str(path), feature_version=(3, 8))


BY_NAME = {"setattr", "getattr", "delattr", "patch"}
"""Functions that take an attribute's name as a string."""
DOCUMENTED = {"_replace", "_asdict", "_fields", "_make", "_exit"}
"""Public in spite of their names: the documentation of collections.namedtuple, and os._exit."""


def test_tests_reach_into_no_privates() -> None:
    for path in sources("tests"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
        own = {node.attr for node in attributes if ast.unparse(node.value) in ("self", "cls")}
        for node in nodes:
            parts = {part for name in named(node) for part in name.split(".")}
            assert not [*filter(is_private, parts - own - DOCUMENTED)], f"{path}: {ast.unparse(node)}"


def test_no_test_imports_another_since_what_they_share_has_a_home() -> None:
    for path in sources("tests"):
        for module, _ in imports(path):
            assert not module.startswith("tests.") or "test_" not in module, f"{path} imports {module}"


def named(node: ast.AST) -> Iterator[str]:
    """Yield what a node takes from elsewhere: by import, by attribute, or by a name in a string."""
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
        texts = (argument.value for argument in node.args if isinstance(argument, ast.Constant))
        yield from (text for text in texts if isinstance(text, str))


def is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


@pytest.mark.parametrize("package", OURS)
def test_no_file_has_a_name_that_says_nothing(package: str) -> None:
    empty_words = {"utils", "util", "helpers", "helper", "manager", "handler", "common", "misc"}
    for path in sources(package):
        assert not empty_words & set(path.stem.split("_")), path


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["targets"], ["models"], ["recipes"], ["build", "--help"], ["train", "--help"]],
    ids=" ".join,
)
def test_showing_help_and_lists_wakes_no_toolchain(arguments: list[str]) -> None:
    assert woken(f"from pipeline.cli.app import app\ntry: app({arguments!r})\nexcept SystemExit: pass") == ""


@pytest.mark.parametrize(
    "module",
    [
        "pipeline.models.zoo",
        "pipeline.models.foreign.description",
        "pipeline.data.open",
        "pipeline.report.model.build_report",
    ],
)
def test_what_is_read_before_any_work_wakes_no_toolchain(module: str) -> None:
    assert woken(f"import {module}") == ""


def woken(code: str) -> str:
    """Return the names of the large packages that a fresh Python has loaded after running `code`."""
    heavy = {"torch", "onnx", "onnxruntime", "tvm", "tensorrt", "scipy"}
    code = f"import sys\n{code}\nprint(*sorted({heavy!r} & set(sys.modules)), file=sys.stderr, end='')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr.rpartition("\n")[2]


EVERYWHERE = (*OURS, "tests", "benchmarks")


def test_a_class_name_means_one_thing_in_the_whole_project() -> None:
    classes = (
        (name, path) for package in EVERYWHERE for path in sources(package) for name in contents(path).classes
    )
    assert not twice(classes)


def test_a_file_name_means_one_thing_in_the_whole_project() -> None:
    """But for commands, which are called what their users call them, and for their tests."""
    commands = {ROOT / "pipeline/cli", ROOT / "tests/pipeline/cli"}
    files = [path for package in EVERYWHERE for path in sources(package) if not commands & set(path.parents)]
    named = ((path.stem, path) for path in files if path.stem[:2] != "__" and path.stem != "conftest")
    assert set(twice(named)) == set(SHARED_FILE_NAMES)


def twice(named: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that stand for several things, and where."""
    where: dict[str, list[str]] = {}
    for name, path in named:
        where.setdefault(name, []).append(path.relative_to(ROOT).as_posix())
    return {name: places for name, places in where.items() if len(places) > 1}
