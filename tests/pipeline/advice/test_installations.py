"""What messages about missing packages advise: to install what edgec brings."""

import pytest

from pipeline.extras import EXTRA_OF, NEEDED_FOR
from tests.edgec.base_installation import BaseInstallation, base_installation


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> BaseInstallation:
    return base_installation(tmp_path_factory.mktemp("installation") / "venv")


CHECKS = {
    "onnxruntime": ("onnxruntime is not installed.", "find_target('reference').check()"),
    "tvm": ("apache-tvm is not installed.", "check_toolchain()"),
    "ziglang": ("ziglang is not installed; it links engines.", "check()"),
}
PROGRAM = """
from targets.errors import TargetUnavailable
from targets.registry import find_target
from targets.tvm.cpu_target import check_toolchain
from targets.tvm.link import check
try:
    {check}
except TargetUnavailable as error:
    raise SystemExit(str(error))
"""

NEEDS = """
from pipeline.errors import PipelineError
from pipeline.extras import naming_missing_extras
try:
    with naming_missing_extras():
        for package in {packages}:
            __import__(package)
except PipelineError as error:
    raise SystemExit(str(error))
"""


@pytest.mark.parametrize("package", CHECKS)
def test_installing_what_is_missing_helps(package: str, installation: BaseInstallation) -> None:
    """`make setup` in a checkout does it too: tests/test_setup.py."""
    said, check = CHECKS[package]
    (installation.packages / package).unlink()
    done = installation.python(PROGRAM.format(check=check))
    advice = "Install what is missing: `make setup` in a checkout, `pip install edgec` elsewhere."
    assert done.stderr.strip() == f"{said} It comes with edgec. {advice}"
    installation.install_what_is_missing()
    done = installation.python(PROGRAM.format(check=check))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("extra", sorted(NEEDED_FOR))
def test_installing_the_extra_helps(extra: str, installation: BaseInstallation) -> None:
    packages = [package for package, brought_by in EXTRA_OF.items() if brought_by == extra]
    program = NEEDS.format(packages=packages)
    for package in packages:  # another extra may have brought it
        (installation.packages / package).unlink(missing_ok=True)
    done = installation.python(program)
    assert done.stderr.strip().endswith(f"{NEEDED_FOR[extra]}. Install it: pip install 'edgec[{extra}]'")
    installation.install_what_is_missing(extra)
    done = installation.python(program)
    assert (done.returncode, done.stderr) == (0, "")
