from pathlib import Path

import pytest

from tests.targets.tensorrt.jetpacks import RECORDINGS


@pytest.fixture
def device(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that answers as a recorded Jetson does."""
    RECORDINGS[getattr(request, "param", "6.2")].write(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return tmp_path
