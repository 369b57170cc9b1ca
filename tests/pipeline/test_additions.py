"""What a new toolchain, a board and an option take, as CONTRIBUTING.md says: they are added, and work."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.build.plan import Build
from pipeline.bundle.contents import verify
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report.model.measured_latency import Latency
from targets import registry
from tests.conftest import ROOT

TOOLCHAIN = """
from importlib.metadata import version

from calibration.recipe import QuantRecipe
from targets.base import BuildState, Origin
from targets.runtime.native_runner import LayerTime
from targets.runtime.reference_runner import open_engine


class AcmeTarget:
    name = "acme"
    summary = "a toolchain of a test: it keeps the graph as it is"
    recipe = QuantRecipe.parse("w8a8_asym_minmax")
    float_precision = "fp32"
    origin = Origin.HOST
    runs_here = True
    state = BuildState.BUILT
    engine_name = "acme.bin"
    shipped = ("acme.bin",)
    packages = ("pytest",)
    runner = "acme"

    def check(self):
        pass

    def device(self):
        return "an anvil"

    def fingerprint(self):
        return "anvil 1"

    def build(self, model, engine, float_model=None):
        engine.write_bytes(model.read_bytes())

    def instructions(self, engine, images):
        return None

    def open(self, engine):
        return open_engine(engine, 1)

    def layer_times(self, engine, image):
        return [LayerTime("everything", True, 1, 2.0)]
"""
"""A package with its target and its runner, as `targets.base` wants them."""


def test_a_toolchain_is_built_measured_and_bundled_like_the_others(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme.py").write_text(TOOLCHAIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # for the process that measures
    import acme  # type: ignore[import-not-found] # written above

    monkeypatch.setitem(registry.TARGETS, "acme", acme.AcmeTarget)
    options = {"target": "acme", "out": tmp_path / "out", "validation.max_drop": 50.0}
    build = Build(load_config(BuildConfig, quick, options), Silent())
    report = build.report.load()
    assert report.tools["pytest"] == version("pytest")
    assert "apache-tvm" not in report.tools
    assert report.coverage is not None
    assert report.coverage.times is not None
    assert [layer.layer for layer in report.coverage.times.layers] == ["everything"]
    assert isinstance(report.latency_int8, Latency)
    assert verify(build.bundle.path).manifest.runner == "acme"
    sys.modules.pop("acme")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The three packages, to be changed."""
    for package in ("pipeline", "targets", "calibration"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def said(copy: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pipeline", *arguments]
    environment = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def changed(copy: Path) -> list[Path]:
    """The files that are new or different in a copy."""
    files = [file.relative_to(copy) for file in copy.rglob("*") if file.is_file()]
    return [file for file in files if not is_same(copy / file, ROOT / file)]


def is_same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def insert(file: Path, after: str, new: str) -> None:
    text = file.read_text()
    assert text.count(after) == 1
    file.write_text(text.replace(after, after + new))


def test_a_board_is_one_table(copy: Path) -> None:
    with (copy / "targets/devices.toml").open("a") as tables:
        tables.write('\n[anvil]\nsummary = "a board of a test"\nisa = "dotprod"\nemulated_cpu = "max"\n')
    assert "a board of a test" in said(copy, "targets")


SECTION = '''"""What an anvil weighs."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pipeline.report.record import Record
from pipeline.report.section import ComparedFigure, ReportSection
from pipeline.report.table import FigureTable


class Anvil(Record):
    kilograms: float


class Weighed(Protocol):
    @property
    def anvil(self) -> Anvil | None: ...


class AnvilSection(ReportSection[Weighed]):
    name = "anvil"

    def html(self, report: Weighed) -> Mapping[str, object] | None:
        return None if report.anvil is None else {"anvil": report.anvil}

    def terminal(self, report: Weighed) -> Iterator[FigureTable]:
        if report.anvil is not None:
            table = FigureTable("Anvil", "kg")
            table.add_row("weight", f"{report.anvil.kilograms:g}")
            yield table

    def markdown(self, report: Weighed) -> Iterator[str]:
        if report.anvil is not None:
            yield "The anvil <was> weighed."

    def markdown_rows(self, report: Weighed) -> Iterator[ComparedFigure]:
        if report.anvil is not None:
            yield ComparedFigure("anvil", "", f"{report.anvil.kilograms:g} kg")
'''


def test_a_section_of_the_report_is_four_files_and_shown_in_every_form(copy: Path, quick: Path) -> None:
    (copy / "pipeline/report/sections/anvil.py").write_text(SECTION)
    template = copy / "pipeline/report/pages/templates/sections/anvil.html.j2"
    template.write_text("<section><h2>Anvil</h2><p>{{ anvil.kilograms }} kg</p></section>\n")
    schema = copy / "pipeline/report/model/build_report.py"
    imported = "from pipeline.report.sections.accuracy import AccuracySection\n"
    insert(schema, imported, "from pipeline.report.sections.anvil import Anvil, AnvilSection\n")
    insert(schema, "    checks: tuple[ToolchainCheck, ...] = ()\n", "    anvil: Anvil | None = None\n")
    insert(schema, "    RobustnessSection(),\n", "    AnvilSection(),\n")
    filled = copy / "pipeline/stages/report.py"
    insert(
        filled,
        "from pipeline.report.recommend import recommend\n",
        "from pipeline.report.sections.anvil import Anvil\n",
    )
    insert(filled, "            state=self._state,\n", "            anvil=Anvil(kilograms=75.5),\n")
    assert len(changed(copy)) == 4
    (copy / "data").symlink_to(ROOT / "data")
    printed = said(copy, "build", "--config", str(quick), "--out", "out")
    (report,) = (copy / "out").glob("*/report.json")
    said(copy, "report", "show", str(report), "--markdown", "summary.md")
    assert '"kilograms": 75.5' in report.read_text()
    assert "<h2>Anvil</h2><p>75.5 kg</p>" in report.with_suffix(".html").read_text()
    assert re.search(r"Anvil +kg.*\n.*\n +weight +75.5", printed)
    markdown = (copy / "summary.md").read_text()
    assert "The anvil \\<was\\> weighed." in markdown
    assert "| anvil |  | 75.5 kg |" in markdown


def test_an_option_of_builds_is_a_field_and_its_help(copy: Path) -> None:
    insert(copy / "pipeline/config.py", "    labels: str | None = None\n", "    anvil: int | None = None\n")
    annotated = "\nAnvil = Annotated[str | None, typer.Option(help='An option of a test.')]\n"
    insert(copy / "pipeline/cli/options.py", "import typer\n", annotated)
    insert(
        copy / "pipeline/cli/build_options.py", '"labels": options.Labels,\n', '    "anvil": options.Anvil,\n'
    )
    assert "An option of a test." in said(copy, "build", "--help")
    assert "anvil is 'heavy': input should be a valid integer" in said(copy, "build", "--anvil", "heavy")
