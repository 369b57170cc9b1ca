"""FP8 beside INT8, for modules whose GPU multiplies both."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.console import RenderableType
from rich.text import Text

from pipeline.report import figures
from pipeline.report.model.fp8_accuracy import Fp8Accuracy
from pipeline.report.section import ReportSection


class WithFp8(Protocol):
    """What the section reads of report.json."""

    @property
    def fp8(self) -> Fp8Accuracy | None:
        """None: the module has no FP8, or the network no form in it."""
        ...


class Fp8Section(ReportSection[WithFp8]):
    """Three accuracies on the same images, and what each loses."""

    name = "fp8"

    def html(self, report: WithFp8) -> Mapping[str, object] | None:
        """Return the sentences."""
        return None if report.fp8 is None else {"sentences": list(sentences(report.fp8))}

    def terminal(self, report: WithFp8) -> Iterator[RenderableType]:
        """Yield the sentences."""
        if report.fp8 is not None:
            yield Text(" ".join(sentences(report.fp8)))

    def markdown(self, report: WithFp8) -> Iterator[str]:
        """Yield the sentences."""
        if report.fp8 is not None:
            yield " ".join(sentences(report.fp8))


def sentences(found: Fp8Accuracy) -> Iterator[str]:
    """Yield what was found, and what decides on a device."""
    shares = {
        "FP32": found.fp32_correct / found.images,
        "INT8": found.int8_correct / found.images,
        "FP8": found.fp8_correct / found.images,
    }
    named = ", ".join(f"{name} {figures.percent(share)}" for name, share in shares.items())
    yield f"FP8 is offered beside INT8: top-1 on {figures.plural(found.images, 'image')} is {named}."
    yield (
        f"FP8 loses {figures.points(found.fp8_drop)} {figures.interval(found.fp8_drop_interval)} to FP32, "
        f"INT8 {figures.points(found.int8_drop)} {figures.interval(found.int8_drop_interval)}."
    )
    yield "onnxruntime computed all three here; which is faster, and is taken, only the device decides."
