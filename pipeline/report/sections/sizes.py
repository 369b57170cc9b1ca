"""Sizes of the files, and peak memory."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from pipeline.report import figures
from pipeline.report.model.certainty import NotMeasured
from pipeline.report.model.measured_sizes import MeasuredMemory, Memory, Sizes
from pipeline.report.section import ComparedFigure, HeadlineFigure, ReportSection
from pipeline.report.table import FigureTable


class Sized(Protocol):
    """What the section reads of report.json."""

    @property
    def sizes(self) -> Sizes:
        """Of the files."""
        ...

    @property
    def memory_fp32(self) -> MeasuredMemory:
        """Of the float model in onnxruntime."""
        ...

    @property
    def memory_int8(self) -> MeasuredMemory:
        """Of the engine."""
        ...


class SizeSection(ReportSection[Sized]):
    """The files of FP32 and INT8, and what memory they take when they run."""

    name = "sizes"

    def html(self, report: Sized) -> Mapping[str, object]:
        """Return the sizes drawn, and the memory of both."""
        memory = ("FP32", report.memory_fp32), ("INT8", report.memory_int8)
        return {"sizes": size_bars(report.sizes), "memory": memory}

    def terminal(self, report: Sized) -> Iterator[FigureTable]:
        """Yield all of it."""
        table = FigureTable("Size and memory", "FP32", "INT8")
        sizes = report.sizes
        table.add_row("ONNX", figures.size(sizes.model), figures.size(sizes.int8_model))
        table.add_row("engine", "", figures.size(sizes.engine))
        table.add_row("peak memory", memory(report.memory_fp32), memory(report.memory_int8))
        yield table

    def markdown_rows(self, report: Sized) -> Iterator[ComparedFigure]:
        """Yield all of it."""
        sizes = report.sizes
        yield ComparedFigure("peak memory", memory(report.memory_fp32), memory(report.memory_int8))
        yield ComparedFigure("ONNX", figures.size(sizes.model), figures.size(sizes.int8_model))
        yield ComparedFigure("engine", "", figures.size(sizes.engine))

    def tiles(self, report: Sized) -> Iterator[HeadlineFigure]:
        """Yield the engine's size."""
        note = f"FP32 ONNX {figures.size(report.sizes.model)}"
        yield HeadlineFigure("Engine", figures.size(report.sizes.engine), note)


def memory(measured: Memory | NotMeasured) -> str:
    """Write peak memory: 79.2 MiB, or not measured."""
    return figures.NOT_MEASURED if isinstance(measured, NotMeasured) else figures.size(measured.peak_bytes)


def size_bars(sizes: Sizes) -> list[tuple[str, str, float]]:
    """Return name, size and length in percent of the longest, for every file."""
    named = [("FP32 ONNX", sizes.model), ("INT8 ONNX", sizes.int8_model)]
    if sizes.engine is not None:
        named.append(("Engine", sizes.engine))
    longest = max(size for _, size in named)
    return [(name, figures.size(size), round(100 * size / longest, 2)) for name, size in named]
