"""What labelled images say about how a network wants its input."""

from dataclasses import dataclass

from pipeline.diagnosis.input_form import InputForm


@dataclass(frozen=True)
class FormChoice:
    """The form that labelled images are clear about, and what was tried, in words."""

    form: InputForm | None
    """None: nothing is clear, or the graph takes pixels and there is nothing to choose."""
    lines: tuple[str, ...]
    fit_lines: tuple[str, ...] = ()
    """Of TOML: how else pictures should get their size, shown to be better than as described."""
