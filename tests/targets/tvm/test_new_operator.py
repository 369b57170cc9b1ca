"""What is added to the integer compiler and forgotten somewhere is a type error there: mypy is asked."""

from pathlib import Path

import pytest

from targets.runtime.cpu import NEEDED
from targets.tvm.isa import ISAS
from tests.conftest import ROOT
from tests.forgotten import missed

pytestmark = pytest.mark.slow  # mypy reads the whole project

TVM = "targets/tvm"
OPERATOR = '''
@dataclass(frozen=True, eq=False)
class Power:
    """A new operator, which nobody has said the meaning of."""

    node: str
    input: Tensor
    output: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return (self.input,)


Pointwise = Power | Add |'''


def test_a_new_operator_is_missed_where_it_is_computed_and_lowered(types_of_a_run: Path) -> None:
    file = f"{TVM}/operators/element_by_element.py"
    found = missed("targets.tvm", file, "Pointwise = Add |", OPERATOR.lstrip(), types_of_a_run)
    assert set(found) == {f"{TVM}/oracle.py", f"{TVM}/lower_pointwise.py"}
    assert all("Power" in message for messages in found.values() for message in messages)


def test_a_new_family_of_operators_is_missed_where_all_are_lowered(types_of_a_run: Path) -> None:
    new = f"{OPERATOR.partition('Pointwise')[0].lstrip()}Computed = Power | Conv |"
    found = missed("targets.tvm", f"{TVM}/integer_graph.py", "Computed = Conv |", new, types_of_a_run)
    assert set(found) == {f"{TVM}/oracle.py", f"{TVM}/lower.py"}


def test_a_new_instruction_is_missed_where_inner_steps_are_found(types_of_a_run: Path) -> None:
    new = '    TDPBSSD = "tdpbssd"\n    SDOT = '
    found = missed("targets.tvm", f"{TVM}/isa.py", "    SDOT = ", new, types_of_a_run)
    assert set(found) == {f"{TVM}/kernels/dot.py"}


@pytest.mark.parametrize(
    "fact", ["pairs_rows: bool = True", 'mnemonic: str = "smmla"', "keeps_weights_in_memory: bool = True"]
)
def test_an_inner_step_without_one_of_its_facts_is_none(fact: str, types_of_a_run: Path) -> None:
    found = missed("targets.tvm", f"{TVM}/kernels/arm.py", f"    {fact}\n", "", types_of_a_run)
    assert set(found) == {f"{TVM}/kernels/dot.py"}


def test_all_instruction_sets_say_which_flags_of_the_processor_they_need() -> None:
    assert set(ISAS) == set(NEEDED)


def test_instructions_are_told_apart_in_one_place_only() -> None:
    """Everybody else asks the inner step."""
    files = (ROOT / TVM).rglob("*.py")
    named = {
        path.relative_to(ROOT / TVM).as_posix() for path in files if "DotInstruction" in path.read_text()
    }
    assert named == {"isa.py", "kernels/dot.py"}
