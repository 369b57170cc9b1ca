"""Each reader has every limit that its format can exceed; what exceeds one ends in a named error."""

import re
from pathlib import Path

import pytest

from tests.attacks.limits.beyond_limits import NAMED
from tests.attacks.limits.limits_of_bundles import BUNDLES
from tests.attacks.limits.limits_of_networks import NETWORKS
from tests.attacks.limits.limits_of_pictures import PICTURES
from tests.attacks.limits.limits_of_texts import TEXTS
from tests.fuzz.readers import READERS

LIMITS = {**BUNDLES, **TEXTS, **NETWORKS, **PICTURES}
KINDS = ("bytes", "elements", "depth", "pixels")
"""What takes time beyond these has a test of processor time: test_growing_graphs.py, test_toml_file.py."""
SAYS = {
    "bytes": r"bytes|characters|longer|GiB|damaged",
    "elements": r"values|rows|steps|numbers|scans|signatures|file 1001",
    "depth": r"recursion|parts|nodes|groups|JSON|damaged",
    "pixels": r"pixels|8192 x 6145",
}
"""What the message names."""
CASES = {
    f"{reader}, {kind}": case
    for reader, limits in LIMITS.items()
    for kind, case in limits.items()
    if not isinstance(case, str)
}


def test_each_reader_has_each_limit_or_a_reason() -> None:
    assert READERS.keys() <= LIMITS.keys()
    assert {reader for reader, limits in LIMITS.items() if tuple(limits) != KINDS} == set()


@pytest.mark.parametrize("name", CASES)
def test_what_exceeds_it_is_refused_by_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NAMED) as refused:
        CASES[name](tmp_path, monkeypatch)
    assert re.search(SAYS[name.rpartition(", ")[2]], str(refused.value)), str(refused.value)
