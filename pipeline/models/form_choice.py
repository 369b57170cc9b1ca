"""The result of trying input forms on labelled images."""

from dataclasses import dataclass

from pipeline.models.input_form import InputForm


@dataclass(frozen=True)
class FormChoice:
    """The form that was chosen, and lines of text about what was tried."""

    form: InputForm | None
    """None: no form is shown to be best, or the graph takes pixels and needs none."""
    lines: tuple[str, ...]
    fit_lines: tuple[str, ...] = ()
    """TOML lines of a fit that is shown to be better than the described one."""
