"""The page about settings agrees with the program."""

from pipeline.settings_page import settings_page
from tests.conftest import ROOT


def test_the_page_in_docs_is_the_one_that_the_program_prints() -> None:
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), (
        "run: edgec settings > docs/settings.md"
    )


def test_every_key_has_its_kind_default_and_meaning() -> None:
    page = settings_page()
    assert "| `max_drop` | number | `1.0` | Largest acceptable drop of top-1 accuracy" in page
    assert "| `class_order` | `numbers`, `text`, `list`, `imagenet` | none |" in page
    assert "## [latency]: Measurement of latency" in page
