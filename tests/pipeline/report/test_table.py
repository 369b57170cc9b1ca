"""Tables in the terminal: at no width is a figure or a name broken or cut."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from pipeline.report.sections.latency import quantile
from pipeline.report.side_by_side import render_side_by_side
from pipeline.report.table import FIGURE, FigureTable
from tests.pipeline.report.samples import report

FIGURES = st.sampled_from(
    ["94.16 %", "0.8154 ms [0.8085, 0.8227]", "+0.02 [-0.08, 0.12]", "resnet18-narrow2-grocery", "größer", ""]
)
SENTENCES = st.sampled_from(["load average was 4.0 on 2 cores before the first run; p90 is 23 % above", "no"])
NAMES = st.sampled_from(["p50", "times FP32's speed", "FP32, the user's own network (this report's FP32)"])


def printed(shown: object, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(
    st.lists(st.tuples(NAMES, st.lists(FIGURES | SENTENCES, min_size=1, max_size=8)), min_size=1, max_size=4),
    st.integers(40, 160),
)
def test_no_figure_is_broken_or_cut_at_any_width(rows: list[tuple[str, list[str]]], width: int) -> None:
    table = FigureTable("What is shown", *"ABCDEFGH"[: max(len(cells) for _, cells in rows)])
    for name, cells in rows:
        table.add_row(name, *cells)
    text = printed(table, width)
    assert max(map(cell_len, text.splitlines())) <= width
    for _, cells in rows:
        for cell in cells:
            if cell_len(cell) <= FIGURE:
                assert cell in text


def test_builds_side_by_side_keep_their_names_whole_at_80_columns() -> None:
    name = "resnet18-narrow2-grocery"
    shown = report()
    one = shown.replace(subject=shown.subject.replace(model=name, target="jetson-agx-xavier"))
    median = quantile(one.latency_int8, "p50")
    for count in (2, 3, 8):
        console = Console(file=io.StringIO(), width=80)
        render_side_by_side([one] * count, console)
        assert isinstance(console.file, io.StringIO)
        text = console.file.getvalue()
        assert max(len(line) for line in text.splitlines()) <= 80
        assert text.count(name) == text.count("jetson-agx-xavier") == count
        assert text.count(median) == count
