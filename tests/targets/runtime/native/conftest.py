"""The program that tests of PNG and JPEG share."""

from pathlib import Path

import pytest

from tests.targets.runtime.native.pixel_program import compile_pixel_program


@pytest.fixture(scope="package")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_pixel_program(tmp_path_factory.mktemp("pixels"))
