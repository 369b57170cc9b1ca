"""rich's console without the control characters of what it prints; its own colours stay."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from targets.runtime.printable import printable


class PrintableConsole(Console):
    """A console that prints text as text."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the parts of what is printed, each without control characters."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(printable(part.text), part.style)
