"""matrix.json: the results of all builds of a matrix, and the best of them within budgets."""

from typing import Literal, Self

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.gate import Gate, worst
from pipeline.report.model.measured_latency import Quantile
from pipeline.report.record import Base64, Record, Sha256
from targets.base import Origin


class Budget(Record):
    """What a result may cost. What is not given may cost anything."""

    name: str
    p50_ms: PositiveFloat | None = None  # of INT8; the whole interval has to lie within
    engine_kib: PositiveFloat | None = None
    memory_mib: PositiveFloat | None = None  # the peak
    instructions_m: PositiveFloat | None = None  # millions an inference, where they were counted

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if (self.p50_ms, self.engine_kib, self.memory_mib, self.instructions_m) == (None,) * 4:
            raise ValueError("a budget needs p50_ms, engine_kib, memory_mib or instructions_m")
        return self


class RowFigures(Record):
    """What the report of a row says, in figures that rows are compared by."""

    verdict: Verdict
    gates: tuple[Gate, ...]
    recipe: str  # the one that was used
    dataset: str
    evaluation_digest: Sha256
    images: PositiveInt
    counted: str  # what the two rates count: top-1, or a score of pixels
    fp32: float  # share
    int8: float
    int8_interval: Interval | None  # Wilson; None: not a count of images
    drop_points: float
    drop_interval: Interval
    int8_right: Base64 | None  # one bit an image, as in report.json; None: not a count of images
    p50: Quantile | None  # None: not measured
    p50_origin: Origin | None
    instructions: PositiveInt | None  # an inference; None: not counted
    engine_bytes: PositiveInt | None  # None: it is on the device alone
    memory_bytes: PositiveInt | None  # None: not measured
    machine: str  # where INT8 ran
    report: str  # path of report.json, relative to this file


class BuiltRow(Record):
    """One row: its place in the matrix, and its figures or why there are none."""

    name: str
    model: str
    recipe: str
    target: str
    device: str
    state: Literal["waiting", "finished", "failed"]
    problem: str = ""
    figures: RowFigures | None = None
    stages_run: NonNegativeInt = 0
    stages_known: NonNegativeInt = 0  # taken from the store
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """Return 1 without a result and for a gate that fails, 5 where FP32 only guesses, else 0."""
        if self.state == "waiting":
            return 0
        verdict = Verdict.FAIL if self.figures is None else self.figures.verdict
        return verdict.exit_code if verdict in (Verdict.FAIL, Verdict.MEANINGLESS) else 0


class Contest(Record):
    """Rows that can be compared: on the same images, for the same target, on the same device."""

    target: str
    device: str
    dataset: str
    evaluation_digest: Sha256
    counted: str
    rows: tuple[str, ...]


class BudgetChoice(Record):
    """The best row of a contest within a budget."""

    budget: str
    limits: str  # in words
    contest: int  # its place in `contests`
    best: str | None  # the name of a row; None: none fits
    fitting: NonNegativeInt  # how many fit
    unknown: NonNegativeInt  # how many were not measured in what the budget limits
    not_worse: tuple[str, ...]  # others that fit and are not shown to be less accurate


class MatrixReport(Record):
    """All rows of a matrix."""

    schema_version: Literal[1] = 1
    name: str
    rows: tuple[BuiltRow, ...]
    contests: tuple[Contest, ...]
    choices: tuple[BudgetChoice, ...]

    @property
    def exit_code(self) -> int:
        """Return the highest of the rows'."""
        return max((row.exit_code for row in self.rows), default=0)

    @property
    def verdict(self) -> Verdict:
        """Return the verdict on all rows together."""
        found = (row.figures.verdict for row in self.rows if row.figures is not None)
        failed = any(row.state == "failed" for row in self.rows)
        return worst((*found, *((Verdict.FAIL,) if failed else ())))
