"""What is added to the integer compiler and forgotten somewhere is a type error there: mypy is asked."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from targets.runtime.cpu import NEEDED
from targets.tvm.isa import ISAS
from tests.conftest import ROOT

TVM = ROOT / "targets/tvm"

OPERATOR = '''
@dataclass(frozen=True, eq=False)
class Upsample:
    """A new operator."""

    node: str
    source: Tensor
    output: Tensor


Computed = Upsample | Conv |'''


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, with a cache in it that makes the second and later runs of mypy fast."""
    return tmp_path_factory.mktemp("additions")


def complained(file: Path, old: str, new: str, folder: Path) -> dict[str, set[str]]:
    """What mypy says of the compiler with `old` in a file of it replaced by `new`: messages by file."""
    text = file.read_text()
    assert text.count(old) == 1
    patched = folder / file.name
    patched.write_text(text.replace(old, new))
    shadow = ["--shadow-file", str(file.relative_to(ROOT)), str(patched)]
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--cache-dir",
        str(folder / "cache"),
        *shadow,
        "-p",
        "targets.tvm",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[str, set[str]] = {}
    for name, message in re.findall(r"^(\S+):\d+: error: (.*)$", done.stdout, re.MULTILINE):
        found.setdefault(name, set()).add(message)
    return found


def test_a_new_operator_is_missed_where_it_is_read_computed_and_lowered(scratch: Path) -> None:
    found = complained(TVM / "integer_graph.py", "Computed = Conv |", OPERATOR.lstrip(), scratch)
    assert set(found) == {f"targets/tvm/{name}.py" for name in ("integer_graph", "oracle", "lower")}
    assert all("Upsample" in message for messages in found.values() for message in messages)


def test_a_new_instruction_is_missed_where_inner_steps_are_found(scratch: Path) -> None:
    new = '    TDPBSSD = "tdpbssd"\n    SDOT = '
    found = complained(TVM / "isa.py", "    SDOT = ", new, scratch)
    assert set(found) == {"targets/tvm/kernels/dot.py"}


@pytest.mark.parametrize(
    "fact", ["pairs_rows: bool = True", 'mnemonic: str = "smmla"', "keeps_weights_in_memory: bool = True"]
)
def test_an_inner_step_without_one_of_its_facts_is_none(fact: str, scratch: Path) -> None:
    found = complained(TVM / "kernels/arm.py", f"    {fact}\n", "", scratch)
    assert set(found) == {"targets/tvm/kernels/dot.py"}


def test_all_instruction_sets_say_which_flags_of_the_processor_they_need() -> None:
    assert set(ISAS) == set(NEEDED)


def test_instructions_are_told_apart_in_one_place_only() -> None:
    """Everybody else asks the inner step."""
    places = {
        path.relative_to(TVM).as_posix() for path in TVM.rglob("*.py") if "DotInstruction" in path.read_text()
    }
    assert places == {"isa.py", "kernels/dot.py"}
