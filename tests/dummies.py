"""One dummy of everything that CONTRIBUTING.md has a list for: its sources, and where a copy gets them."""

from collections.abc import Callable
from pathlib import Path

MOST = {
    "A board on a known toolchain": 1,
    "A toolchain": 2,
    "An observer of ranges": 2,
    "A correction of recipes": 2,
    "An operator of the integer compiler": 4,
    "An instruction set": 4,
    "A section of the report": 4,
    "An option of all commands that build": 3,
}
"""The most files that each may take, by its heading in CONTRIBUTING.md."""

TOOLCHAIN = """
from importlib.metadata import version

from calibration.recipe import QuantRecipe
from targets.base import BuildState, EngineKind, Origin
from targets.runtime.native_runner import LayerTime
from targets.runtime.reference_runner import open_engine


class AcmeTarget:
    name = "acme"
    summary = "a toolchain of a test: it keeps the graph as it is"
    recipe = QuantRecipe.parse("w8a8_asym_minmax")
    float_precision = "fp32"
    reads_wide = True
    origin = Origin.HOST
    runs_here = True
    state = BuildState.BUILT
    engine_name = "acme.bin"
    shipped = ("acme.bin",)
    packages = ("pytest",)
    runner = "reference_runner"
    engine_kind = EngineKind.GRAPH

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

OBSERVER = """

class Widened(MinMax):
    def range(self) -> Range:
        return Range(2 * self.low, 2 * self.high)

"""
"""The range from the smallest to the largest value, doubled."""

CORRECTION = """
from calibration.correction import BiasCorrection


class Lowered(BiasCorrection):
    word = "low"
    summary = "take one thousandth from every bias"

    def bias(self, layer, weight, moments):
        return layer.bias - layer.bias.dtype.type(0.001)
"""

OPERATOR = """
@dataclass(frozen=True, eq=False)
class Shrink:
    node: str
    input: Tensor
    output: Tensor
    multiplier: float
    limit: float

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.input,)

    def compute(self, values: Mapping[str, Array]) -> Bytes:
        x = centred(self.input, values[self.input.name]).astype(np.float32)
        shrunk = np.where(np.abs(x) > self.limit, x * np.float32(self.multiplier), 0)
        return stored(shrunk, self.output, UNCLIPPED)

    def call(self, memory: StoredTensors) -> KernelCall:
        from targets.tvm.kernels.shrink import ShrinkKernel

        kernel = ShrinkKernel(
            isa=memory.isa,
            height=self.output.height,
            width=self.output.width,
            channels=memory.channels(self.output),
            x=memory.strides(self.input),
            y=memory.strides(self.output),
            limits=result_range(255 * self.multiplier, self.output, UNCLIPPED),
            limit=self.limit,
        )
        return KernelCall(kernel, self.multiplier)


"""
"""ONNX's Shrink without a bias: small values become 0."""

KERNEL = """
from dataclasses import dataclass

from tvm import tirx

from targets.tvm.kernels.emitter import splat
from targets.tvm.kernels.requantise import Requantise, ResultRange
from targets.tvm.kernels.row_kernel import RowKernel
from targets.tvm.kernels.strides import Strides
from targets.tvm.kernels.vector_blocks import blocks, centred


@dataclass(frozen=True, kw_only=True)
class ShrinkKernel(RowKernel):
    width: int
    channels: int
    x: Strides
    y: Strides
    limits: ResultRange
    limit: float

    def function(self, name):
        k, lanes = self.emitter(), self.isa.lanes
        requantise = Requantise(self.isa, 1, self.limits, per_channel=False)
        offset = k.let(k.load(k.ints, 0))
        nothing, limit = (splat(tirx.const(number, "float32"), lanes) for number in (0, self.limit))
        with k.items() as row:
            for column, channel, vectors in blocks(k, self.width, self.channels, lanes):
                x, y = (k.let(row * s.row + column * s.pixel + channel) for s in (self.x, self.y))
                places = [[dp * s.pixel + dc for dp, dc in vectors] for s in (self.x, self.y)]
                values = []
                for value in centred(k, self.isa, "x", self.x, x, places[0], offset):
                    small = tirx.And(value <= limit, value >= nothing - limit)
                    values.append(tirx.Select(small, nothing, value * requantise.multiplier(k, 0)))
                requantise.store(k, y, places[1], values)
        return k.function(name)
"""

READ = """
def shrink(node: str, operands: list[Value], attributes: Attributes) -> Value:
    (x,) = operands
    assert isinstance(x, Quantized)
    tensor, limit = x.whole(node), attributes["lambd"] / x.scale

    def finish(end: Epilogue) -> Operator:
        return Shrink(node, tensor, end.output, float(np.float32(x.scale / end.scale)), limit)

    return Pending(node, x.shape, finish)


"""

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


def insert(file: Path, after: str, new: str) -> None:
    """Put `new` behind the only place where a file says `after`."""
    text = file.read_text()
    assert text.count(after) == 1, f"{file}: {text.count(after)} times {after!r}"
    file.write_text(text.replace(after, after + new))


def board(copy: Path) -> None:
    """A table."""
    with (copy / "targets/devices.toml").open("a") as tables:
        tables.write('\n[anvil]\nsummary = "a board of a test"\nisa = "dotprod"\nemulated_cpu = "max"\n')


def toolchain(copy: Path) -> None:
    """A package with its runner, and a line of the registry."""
    (copy / "targets/acme").mkdir()
    (copy / "targets/acme/__init__.py").write_text(TOOLCHAIN)
    registry = copy / "targets/registry.py"
    insert(registry, "from targets.base import EngineKind, Target\n", "from targets.acme import AcmeTarget\n")
    insert(registry, '    "host": HostTarget,\n', '    "acme": AcmeTarget,\n')


def observer(copy: Path) -> None:
    """A name with its line, a case and its class."""
    names, made = copy / "calibration/scheme.py", copy / "calibration/observers.py"
    insert(names, '    MSE = "mse"\n', '    WIDE = "wide"\n')
    insert(names, 'the grid of least squared error",\n', '            ObserverName.WIDE: "twice",\n')
    insert(
        made,
        "            return MinMax()\n",
        "        case ObserverName.WIDE:\n            return Widened()\n",
    )
    text = made.read_text()
    made.write_text(text.replace("class Average:", f"{OBSERVER.strip()}\n\n\nclass Average:"))


def correction(copy: Path) -> None:
    """A file, and its place in the list."""
    folder = copy / "calibration/corrections"
    (folder / "low.py").write_text(CORRECTION)
    corrections = folder / "__init__.py"
    place = "from calibration.corrections.eq import Equalization\n"
    insert(corrections, place, "from calibration.corrections.low import Lowered\n")
    insert(corrections, "    MeanBiasCorrection(),\n", "    Lowered(),\n")


def operator(copy: Path) -> None:
    """A class with its meaning and its kernel call, the kernel, what becomes it, and its 8-bit input."""
    tvm = copy / "targets/tvm"
    classes = tvm / "operators/element_by_element.py"
    text = classes.read_text()
    classes.write_text(text.replace("Pointwise = Add", f"{OPERATOR.lstrip()}Pointwise = Shrink | Add"))
    (tvm / "kernels/shrink.py").write_text(KERNEL)
    read = tvm / "joins.py"
    place = "from targets.tvm.operators.assembling import Assemble, Piece\n"
    insert(read, place, "from targets.tvm.operators.element_by_element import Shrink\n")
    text = read.read_text()
    read.write_text(text.replace("READERS: dict", f"{READ.lstrip()}READERS: dict"))
    insert(read, '    "Identity": identity,\n', '    "Shrink": shrink,\n')
    insert(copy / "calibration/placement.py", "READ_8_BITS = frozenset(\n    {", '"Shrink", ')


def instruction_set(copy: Path) -> None:
    """One with an instruction that is there: its row, and the flags of its processors."""
    row = '        Isa("anvil", _X86, "x86-64-v3", (), DotInstruction.VPMADDWD, 8, 16),\n'
    insert(copy / "targets/tvm/isa.py", "    for isa in (\n", row)
    flags = copy / "targets/runtime/cpu.py"
    insert(flags, 'MACHINES = dict.fromkeys(("avx512vnni", ', '"anvil", ')
    insert(flags, "NEEDED = {\n", '    "anvil": {"avx2", "fma", "bmi2"},\n')


def section(copy: Path) -> None:
    """A file with a record and all its forms, a template, its place among the sections, and its content."""
    report = copy / "pipeline/report"
    (report / "sections/anvil.py").write_text(SECTION)
    template = report / "pages/templates/sections/anvil.html.j2"
    template.write_text("<section><h2>Anvil</h2><p>{{ anvil.kilograms }} kg</p></section>\n")
    schema, filled = report / "model/build_report.py", copy / "pipeline/stages/report.py"
    place = "from pipeline.report.sections.accuracy import AccuracySection\n"
    insert(schema, place, "from pipeline.report.sections.anvil import Anvil, AnvilSection\n")
    insert(schema, "    checks: tuple[ToolchainCheck, ...] = ()\n", "    anvil: Anvil | None = None\n")
    insert(schema, "    RobustnessSection(),\n", "    AnvilSection(),\n")
    place = "from pipeline.report.recommend import recommend\n"
    insert(filled, place, "from pipeline.report.sections.anvil import Anvil\n")
    insert(filled, "            state=self._state,\n", "            anvil=Anvil(kilograms=75.5),\n")


def option(copy: Path) -> None:
    """A field, its help, and its place among the options."""
    insert(copy / "pipeline/config.py", "    labels: str | None = None\n", "    anvil: int | None = None\n")
    annotated = "\nAnvil = Annotated[str | None, typer.Option(help='An option of a test.')]\n"
    insert(copy / "pipeline/cli/options.py", "import typer\n", annotated)
    options = copy / "pipeline/cli/build_options.py"
    insert(options, '"labels": options.Labels,\n', '    "anvil": options.Anvil,\n')


DUMMIES: dict[str, Callable[[Path], None]] = {
    "A board on a known toolchain": board,
    "A toolchain": toolchain,
    "An observer of ranges": observer,
    "A correction of recipes": correction,
    "An operator of the integer compiler": operator,
    "An instruction set": instruction_set,
    "A section of the report": section,
    "An option of all commands that build": option,
}
"""Functions that add one of each to a copy of the packages, by the heading in CONTRIBUTING.md."""
