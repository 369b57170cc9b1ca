"""The page of a matrix."""

import io
from itertools import pairwise
from pathlib import Path

from rich.console import Console

from pipeline.report.matrix_terminal import render_matrix
from pipeline.report.model.certainty import Interval
from pipeline.report.model.matrix_report import MatrixReport
from pipeline.report.pages.matrix_page import matrix_html
from pipeline.report.record import load_record
from pipeline.report.scatter import Measured, scatter
from tests.pipeline.report.matrix_rows import whole_matrix
from tests.pipeline.report.rendered_page import RenderedPage


def test_every_row_is_there_with_a_link_to_its_report_or_its_reason() -> None:
    found = whole_matrix()
    page = RenderedPage(matrix_html(found))
    links = {one["href"] for one in page.all("a")}
    for row in found.rows:
        assert row.name in page.text
        assert (f"{row.name}/report.html" in links) == (row.figures is not None)
    assert "There is no data set <nowhere>. Give a folder." in page.text
    assert "not built yet" in page.text


def test_each_contest_is_drawn_alone_against_what_is_known_of_it() -> None:
    page = RenderedPage(matrix_html(whole_matrix()))
    drawn = [one["aria-label"] or "" for one in page.all("svg") if one.get("class") == "scatter"]
    assert [label.partition(".")[0] for label in drawn] == [
        "INT8 top-1 against p50",
        "INT8 top-1 against engine",
        "INT8 top-1 against million instructions",
        "INT8 top-1 against engine",
    ]
    assert "5, resnet20-rpi5: 92.10 % at 61" in drawn[2]


def test_dots_of_one_place_keep_their_labels_apart() -> None:
    same = [Measured(str(n), f"row{n}", 1.0, None, 90.0, None) for n in range(5)]
    drawn = scatter("t", "ms", same)
    assert drawn
    shifts = sorted(dot.label_shift for dot in drawn.dots)
    assert all(after - before >= 13 for before, after in pairwise(shifts))
    assert scatter("t", "ms", []) is None


def test_a_noisy_latency_without_bounds_is_drawn_as_a_dot() -> None:
    unknown, known = Interval(low=0.0, high=None), Interval(low=1.0, high=3.0)
    measured = [Measured("1", "a", 2.0, unknown, 90.0, None), Measured("2", "b", 2.0, known, 90.0, None)]
    drawn = scatter("t", "ms", measured)
    assert drawn
    noisy, quiet = drawn.dots
    assert noisy.left == noisy.x == noisy.right
    assert quiet.left < quiet.x < quiet.right


def test_the_terminal_says_the_same() -> None:
    console = Console(file=io.StringIO(), width=100)
    render_matrix(whole_matrix(), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "a<b>-host: There is no data set <nowhere>" in text
    assert "none fits" in text
    assert "4 pass, 1 fail, 1 inconclusive, 1 without a result, 1 not built yet" in text


def test_the_json_is_read_back_as_it_was(tmp_path: Path) -> None:
    found = whole_matrix()
    found.save(tmp_path / "matrix.json")
    assert load_record(MatrixReport, tmp_path / "matrix.json", "matrix", version=1) == found
