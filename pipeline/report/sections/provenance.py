"""Where every figure comes from: what was built from what, the machines, the tools, and the methods."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from rich.text import Text

from pipeline.report.model.subject import Machine, Subject
from pipeline.report.section import ReportSection


class Provenance(Protocol):
    """What the section reads of report.json."""

    @property
    def subject(self) -> Subject:
        """What was built."""
        ...

    @property
    def machines(self) -> tuple[Machine, Machine]:
        """Of FP32, and of INT8."""
        ...

    @property
    def tools(self) -> dict[str, str]:
        """Name -> version."""
        ...


class ProvenanceSection(ReportSection[Provenance]):
    """Machines, images, digests and tools. What sections say of their methods stands at its end."""

    name = "provenance"

    def html(self, report: Provenance) -> Mapping[str, object]:
        """Return all of it."""
        return {"subject": report.subject, "machines": report.machines, "tools": report.tools}

    def terminal_lead(self, report: Provenance) -> Iterator[Text]:
        """Yield the processors."""
        yield from (Text(line, style="dim") for line in ran_on(report.machines))

    def markdown_lead(self, report: Provenance) -> Iterator[str]:
        """Yield the processors."""
        yield f"{'; '.join(ran_on(report.machines))}."


def ran_on(machines: tuple[Machine, Machine]) -> tuple[str, ...]:
    """Name the processors that FP32 and INT8 ran on: once if it is the same."""
    fp32, int8 = machines
    if (fp32.origin, fp32.description) == (int8.origin, int8.description):
        return (f"ran on {fp32.origin}: {fp32.description}",)
    return tuple(
        f"{name} ran on {machine.origin}: {machine.description}"
        for name, machine in (("INT8", int8), ("FP32", fp32))
    )
