"""An exchanged, downgraded, stripped or re-signed bundle never runs, however tries follow each other.

`python -m benchmarks.faults` makes thousands of tries; here are a few dozen, the same in every run.
"""

from pathlib import Path

from benchmarks.faults import Bundles, bundle_tries


def test_nothing_runs_that_was_not_verified(tmp_path: Path) -> None:
    tries = bundle_tries(Bundles(tmp_path), seed=1, count=30)
    assert tries.ran_unverified == 0
    assert min(tries.refused.values()) > 0
    assert tries.accepted > 0
