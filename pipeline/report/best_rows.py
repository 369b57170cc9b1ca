"""Which rows of a matrix can be compared, which is best within a budget, and which are on the front."""

from collections.abc import Iterator, Sequence

from pipeline.report import figures
from pipeline.report.model.certainty import Verdict
from pipeline.report.model.matrix_report import Budget, BudgetChoice, BuiltRow, Contest, RowFigures
from pipeline.report.paired import paired_images, unpack_bits

ANY_COST = "any cost"


def contests_of(rows: Sequence[BuiltRow]) -> tuple[Contest, ...]:
    """Group finished rows by images, target and device: others cannot be compared."""
    found: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        if (own := row.figures) is not None:
            key = (row.target, row.device, own.dataset, own.evaluation_digest, own.counted)
            found.setdefault(key, []).append(row.name)
    return tuple(
        Contest(target=t, device=d, dataset=s, evaluation_digest=e, counted=c, rows=tuple(names))
        for (t, d, s, e, c), names in found.items()
    )


def choices_of(
    rows: Sequence[BuiltRow], contests: Sequence[Contest], budgets: Sequence[Budget]
) -> tuple[BudgetChoice, ...]:
    """Return the most accurate row of each contest within each budget, and at any cost.

    Rows with a gate that fails, or whose FP32 only guesses, are never chosen. Latency fits if its whole
    interval does. Of rows of the same accuracy the faster one is taken, then the smaller one.
    """
    named = {row.name: row for row in rows}
    return tuple(
        _choice(budget, number, [named[name] for name in contest.rows])
        for budget in (*budgets, None)
        for number, contest in enumerate(contests)
    )


def limits_in_words(budget: Budget) -> str:
    """Write a budget: p50 at most 2 ms, engine at most 400 KiB."""
    parts = (
        (budget.p50_ms, "p50 at most {:g} ms"),
        (budget.engine_kib, "engine at most {:g} KiB"),
        (budget.memory_mib, "peak memory at most {:g} MiB"),
        (budget.instructions_m, "at most {:g} M instructions"),
    )
    return ", ".join(words.format(value) for value, words in parts if value is not None)


def front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the indices of the Pareto-optimal points (cost, accuracy), by rising cost.

    No other point is at least as good in both and better in one. Measured values are compared without their
    noise.
    """
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1]))
    kept: list[int] = []
    for i in order:
        same = bool(kept) and points[i] == points[kept[-1]]
        if not kept or points[i][1] > points[kept[-1]][1] or same:
            kept.append(i)
    return kept


def _choice(budget: Budget | None, contest: int, rows: Sequence[BuiltRow]) -> BudgetChoice:
    sound = [row for row in rows if row.exit_code == 0]
    known = sound if budget is None else [row for row in sound if _is_known(_own(row), budget)]
    fitting = known if budget is None else [row for row in known if _fits(_own(row), budget)]
    best = min(fitting, key=_rank, default=None)
    others = [row for row in fitting if row is not best]
    return BudgetChoice(
        budget=ANY_COST if budget is None else budget.name,
        limits="" if budget is None else limits_in_words(budget),
        contest=contest,
        best=None if best is None else best.name,
        fitting=len(fitting),
        unknown=len(sound) - len(known),
        not_worse=() if best is None else tuple(row.name for row in others if not _is_worse(row, best)),
    )


def _own(row: BuiltRow) -> RowFigures:
    assert row.figures is not None  # noqa: S101 - contests hold finished rows
    return row.figures


def _rank(row: BuiltRow) -> tuple[float, float, float]:
    own = _own(row)
    cost = own.p50.ms if own.p50 is not None else float(own.instructions or 0)
    return -own.int8, cost, float(own.engine_bytes or 0)


def _costs(own: RowFigures, budget: Budget) -> Iterator[tuple[float | None, float]]:
    """Yield each limited figure and its limit. An interval counts by its upper end; None: not known."""
    p50 = None if own.p50 is None else own.p50.interval.high
    if budget.p50_ms is not None:
        yield p50, budget.p50_ms
    if budget.engine_kib is not None:
        yield None if own.engine_bytes is None else own.engine_bytes / 2**10, budget.engine_kib
    if budget.memory_mib is not None:
        yield None if own.memory_bytes is None else own.memory_bytes / 2**20, budget.memory_mib
    if budget.instructions_m is not None:
        yield None if own.instructions is None else own.instructions / 1e6, budget.instructions_m


def _is_known(own: RowFigures, budget: Budget) -> bool:
    return all(found is not None for found, _ in _costs(own, budget))


def _fits(own: RowFigures, budget: Budget) -> bool:
    return all(found is not None and found <= limit for found, limit in _costs(own, budget))


def _is_worse(row: BuiltRow, best: BuiltRow) -> bool:
    """Whether a row is shown to be less accurate than the best, on the same images."""
    a, b = _own(best), _own(row)
    if a.int8_right is None or b.int8_right is None or a.images != b.images:
        return True
    found = paired_images(unpack_bits(a.int8_right, a.images), unpack_bits(b.int8_right, b.images))
    return found.more_than_noise


def verdict_of(row: BuiltRow) -> Verdict | None:
    """Return the verdict of a row; None as long as it has none, FAIL if it has no result."""
    if row.figures is not None:
        return row.figures.verdict
    return Verdict.FAIL if row.state == "failed" else None


def tally(rows: Sequence[BuiltRow]) -> str:
    """Count the rows by outcome, in words: 20 pass, 2 fail, 1 has no result."""
    verdicts = [row.figures.verdict for row in rows if row.figures is not None]
    words = {Verdict.PASS: "pass", Verdict.FAIL: "fail"}
    said = [
        f"{figures.count(verdicts.count(one))} {words.get(one, one.value)}"
        for one in Verdict
        if one in verdicts
    ]
    failed, waiting = (sum(row.state == state for row in rows) for state in ("failed", "waiting"))
    said += [f"{failed} without a result"] if failed else []
    said += [f"{waiting} not built yet"] if waiting else []
    return ", ".join(said)
