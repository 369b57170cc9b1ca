"""How many steps a pickle has, counted before it is read: a step of one byte makes an object of 56.

A tuple may hold another one twice, that one a third twice, and so on. As the key of a dictionary Python walks
through all of it for its hash, which takes years for a file of a hundred bytes.
"""

import pickletools
from typing import IO, Any

from pipeline.reading.reading_limits import PICKLE_STEPS

PICKLES = 5
"""In a row, as torch wrote them before 1.6: what it is, its version, the machine, the content, the keys."""
WRITTEN_OUT = 10 * PICKLE_STEPS
"""Values that all steps take together. What is not shared is taken once for each container around it."""
_GETS = ("GET", "BINGET", "LONG_BINGET")
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GROWING = ("APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS", "BUILD")
"""Steps that put values into the first of those that they take, a thousand at a time in long ones."""
_Size = list[int]
"""Of a value with all that it holds, in a list: a container grows after others have taken it."""


def check_steps(file: IO[bytes], pickles: int = 1) -> None:
    """Raise ValueError if pickles, one after the other, have more than PICKLE_STEPS steps.

    Also if they share so much that these would take more than WRITTEN_OUT values, or number what they keep
    higher than that: the unpickler in C makes room for all numbers below. Stops where there is no pickle:
    whoever reads it says so.
    """
    count = 0
    for _ in range(pickles):
        machine = _Machine()
        try:
            for step, argument, _position in pickletools.genops(file):
                count += 1
                machine.take(step, argument)
                if count > PICKLE_STEPS or machine.taken > WRITTEN_OUT or machine.highest > PICKLE_STEPS:
                    break
        except (ValueError, MemoryError, OverflowError, UnicodeError, IndexError):
            return
        if count > PICKLE_STEPS:
            raise ValueError(f"it is a pickle of more than {PICKLE_STEPS:,} steps")
        if machine.taken > WRITTEN_OUT:
            raise ValueError(f"its values hold each other so often that they are over {WRITTEN_OUT:,}")
        if machine.highest > PICKLE_STEPS:
            raise ValueError(f"it is a pickle that numbers a value {machine.highest:,}")


class _Machine:
    """The stack of a pickle, moved as pickletools.dis moves it, with sizes in place of values."""

    def __init__(self) -> None:
        self.taken = 0
        self.highest = 0
        self._stack: list[_Size] = []
        self._marks: list[int] = []
        self._kept: dict[int, _Size] = {}

    def take(self, step: pickletools.OpcodeInfo, argument: Any) -> None:  # noqa: ANN401 - as genops gives it
        """Take a step. Raises IndexError where the stack lacks what the step needs."""
        if step.name in _PUTS:
            number = len(self._kept) if step.name == "MEMOIZE" else argument
            self._kept[number] = self._stack[-1]
            self.highest = max(self.highest, number)
        elif step.name in _GETS:
            self._stack.append(self._kept.get(argument, [1]))
        elif step.name == "MARK":
            self._marks.append(len(self._stack))
        else:
            self._move(step)

    def _move(self, step: pickletools.OpcodeInfo) -> None:
        wanted = len(step.stack_before)
        start = len(self._stack) - wanted
        if pickletools.markobject in step.stack_before:
            start = self._marks.pop() - step.stack_before.index(pickletools.markobject)
        if start < 0:
            raise IndexError(step.name)
        taken = self._stack[start:]
        del self._stack[start:]
        grown = taken.pop(0) if step.name in _GROWING else None
        size = sum(one[0] for one in taken)
        self.taken += size
        if grown is None:
            self._stack += [[1 + size]] * len(step.stack_after)
        else:
            grown[0] += size
            self._stack.append(grown)
