"""After any damage to a stored file or an input, the bytes are right or an error names the damage."""

from pathlib import Path

import pytest

from benchmarks.damage import trials


@pytest.mark.parametrize("quantised", [False, True])
def test_a_dozen_edits_lead_to_right_bytes_or_a_named_error(quantised: bool, tmp_path: Path) -> None:
    ends = list(trials(tmp_path, edits=14, seed=1, quantised=quantised))
    assert [(done, end) for done, end in ends if end.startswith("WRONG")] == []
    assert "right bytes" in {end for _, end in ends}
