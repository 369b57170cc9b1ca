"""The rows of a matrix in the terminal."""

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from pipeline.report import figures
from pipeline.report.best_rows import tally
from pipeline.report.model.matrix_report import MatrixReport
from pipeline.report.pages.matrix_page import cost, place
from pipeline.report.pages.template import VERDICT_WORDS
from pipeline.report.table import FigureTable


def render_matrix(report: MatrixReport, console: Console) -> None:
    """Print all rows, the best within each budget, and why rows have no result."""
    rows = FigureTable("Matrix " + report.name, "verdict", "INT8", "drop, points", "cost", "engine")
    best = FigureTable("Best", "for", "row", "INT8", "cost", "fit")
    for row in report.rows:
        if (own := row.figures) is None:
            rows.add_row(row.name, "no result" if row.state == "failed" else "not built yet")
            continue
        cells = (VERDICT_WORDS[own.verdict], figures.percent(own.int8), figures.points(own.drop_points))
        rows.add_row(row.name, *cells, cost(own), figures.size(own.engine_bytes))
    named = {row.name: row.figures for row in report.rows}
    for choice in report.choices:
        where = place(report.contests[choice.contest], report.contests)
        own = named[choice.best] if choice.best is not None else None
        fit = str(choice.fitting)
        if own is None:
            best.add_row(choice.budget, where, "none fits", "", "", fit)
        else:
            best.add_row(choice.budget, where, str(choice.best), figures.percent(own.int8), cost(own), fit)
    for table in (rows, best) if report.choices else (rows,):
        console.print(Padding(table, (0, 1)))
    for row in report.rows:
        if row.state == "failed":
            console.print(Padding(Text(f"{row.name}: {row.problem}"), (0, 1)))
    console.print(Padding(Text(tally(report.rows)), (1, 1)))
