"""What messages about missing packages advise: to install what edgec brings."""

import pytest

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
