"""An installation that is killed, stopped or out of disk leaves a whole version in use, as two at once do."""

from pathlib import Path

import pytest

from benchmarks.faults import INSTALL_FAULTS, Bundles, installation_fault


@pytest.mark.parametrize("fault", INSTALL_FAULTS)
def test_a_whole_version_is_in_use(fault: str, tmp_path: Path) -> None:
    installation_fault(Bundles(tmp_path), fault, seed=1)
