"""The bundle of `baseline compare --old` is verified with the trusted keys before its engine is loaded."""

from pathlib import Path
from types import SimpleNamespace
from typing import Never, cast

import pytest

from pipeline.build.plan import Build
from pipeline.build.regression import compare_with_baseline
from pipeline.bundle.pack import pack
from pipeline.bundle.signing import make_keys, sign_bundle
from pipeline.errors import BundleError
from pipeline.report.baseline import baseline_of
from pipeline.report.regression_limits import Limits
from targets.runtime.bundle.manifest import NAME
from targets.runtime.bundle.signature import PublicKey
from tests.attacks.bundles import ENGINE, digest, manifest
from tests.pipeline.report.samples import report


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the baseline of the sample report."""
    known = baseline_of(report())
    (tmp_path / "baselines").mkdir()
    known.save(tmp_path / "baselines" / known.file_name)
    return tmp_path / "baselines"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A bundle that nobody signed."""
    pack({"engine": ENGINE, NAME: manifest(engine=digest(ENGINE))}, tmp_path / "old.edgec", top="m-t")
    return tmp_path / "old.edgec"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    make_keys(tmp_path / "release.key")
    return tmp_path / "release.key"


class Unbuilt:
    """A build of which nothing may be asked."""

    def __getattr__(self, name: str) -> Never:
        raise AssertionError(f"asked for {name} before the bundle was refused")


class Exchanging:
    """A build during which the signed bundle is exchanged for one that is not."""

    def __init__(self, old: Path, other: bytes) -> None:
        self._old, self._other = old, other

    @property
    def report(self) -> SimpleNamespace:
        """The sample report."""
        self._old.write_bytes(self._other)
        return SimpleNamespace(load=report)


def compared(build: object, folder: Path, old: Path, private: Path) -> None:
    trusted = [PublicKey.read(private.with_suffix(".pub"))]
    compare_with_baseline(cast("Build", build), folder, Limits(), old, trusted)


def test_one_without_a_trusted_signature_is_refused_before_anything_is_built(
    folder: Path, old: Path, private: Path
) -> None:
    with pytest.raises(BundleError, match=r"old\.edgec"):
        compared(Unbuilt(), folder, old, private)


def test_one_that_is_exchanged_during_the_build_is_refused(folder: Path, old: Path, private: Path) -> None:
    unsigned = old.read_bytes()
    sign_bundle(old, private)
    with pytest.raises(BundleError, match=r"old\.edgec"):
        compared(Exchanging(old, unsigned), folder, old, private)
