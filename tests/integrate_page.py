"""The programs in docs/integrate.md."""

import re

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "integrate.md").read_text()


def program(language: str) -> str:
    """Return the only one in a language, which is short."""
    (found,) = re.findall(rf"```{re.escape(language)}\n(.*?)```", PAGE, re.DOTALL)
    assert len(found.splitlines()) <= 32
    return str(found)
