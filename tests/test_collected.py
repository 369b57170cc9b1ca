"""Every test is run: pytest passes over folders by their names, and says nothing of it."""

from fnmatch import fnmatch

import pytest

from tests.conftest import ROOT


def test_no_folder_with_tests_is_passed_over(request: pytest.FixtureRequest) -> None:
    passed_over = request.config.getini("norecursedirs")
    parts = {part for file in (ROOT / "tests").rglob("test_*.py") for part in file.relative_to(ROOT).parts}
    assert not [part for part in parts for pattern in passed_over if fnmatch(part, pattern)]
