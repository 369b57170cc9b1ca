"""Fills an HTML template: everything is escaped, a misspelt name is an error, the style sheet is inside."""

from pipeline.report import figures
from pipeline.report.model.certainty import Verdict

VERDICT_WORDS = {verdict: verdict.capitalize() for verdict in Verdict}


def render_page(template: str, **content: object) -> str:
    """Return the complete HTML document of a template in `templates/`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = PackageLoader("pipeline.report", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    css, _, _ = loader.get_source(environment, "report.css")
    return environment.get_template(template).render(
        css=Markup(css),  # noqa: S704 - our own file, nothing of a report is in it
        f=figures,
        verdict_words=VERDICT_WORDS,
        **content,
    )
