"""Fills HTML templates: everything is escaped, a misspelt name is an error, style and script are inside."""

from functools import cache
from typing import TYPE_CHECKING

from pipeline.report import figures
from pipeline.report.model.certainty import Verdict

if TYPE_CHECKING:  # loaded when a page is written: an unchanged build writes none
    from jinja2 import Environment
    from markupsafe import Markup

VERDICT_WORDS = {verdict: verdict.capitalize() for verdict in Verdict}


def render_page(template: str, **content: object) -> str:
    """Return the complete HTML document of a template in `templates/`."""
    return _environment().get_template(template).render(css=own_file("report.css"), **content)


def own_file(name: str) -> "Markup":
    """Return a file of `templates/` as it is: style or script, with nothing of a report in it."""
    from markupsafe import Markup

    environment = _environment()
    assert environment.loader is not None  # noqa: S101 - set below
    content, _, _ = environment.loader.get_source(environment, name)
    return Markup(content)  # noqa: S704 - our own


def render_part(template: str, **content: object) -> "Markup":
    """Return a part of a document, which a page holds as it is."""
    from markupsafe import Markup

    return Markup(_environment().get_template(template).render(**content).strip())  # noqa: S704 - was escaped


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pipeline.report.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(f=figures, verdict_words=VERDICT_WORDS)
    return environment
