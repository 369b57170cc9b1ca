"""A refused package is made once the bundle is the one that the message asks for."""

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.packages.write import write_packages
from tests.pipeline.packages.conftest import MakeBundle

FOR_CPU = ("deb", "oci", "wheel")


@pytest.mark.parametrize("kind", FOR_CPU)
def test_build_one_for_a_cpu(make_bundle: MakeBundle, cpu_bundle: Path, tmp_path: Path, kind: str) -> None:
    with pytest.raises(UsageError, match=f"A package for {kind} is made of a bundle for a CPU") as refused:
        write_packages(make_bundle(), [kind], tmp_path / "out")
    assert "Build one with --target host or one of the ARM boards." in str(refused.value)
    assert not (tmp_path / "out").exists()
    assert write_packages(cpu_bundle, [kind], tmp_path / "out")


@pytest.mark.parametrize("kind", FOR_CPU)
def test_build_it_again_with_the_service(
    make_bundle: MakeBundle, cpu_bundle: Path, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(UsageError) as refused:
        write_packages(make_bundle(runner="native_runner"), [kind], tmp_path / "out")
    assert "bin/edgec-serve" in str(refused.value)
    assert ": an older edgec built it. Build it again." in str(refused.value)
    assert write_packages(cpu_bundle, [kind], tmp_path / "out")
