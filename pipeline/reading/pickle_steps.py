"""How many steps a pickle has, counted before it is read: a step of one byte makes an object of 56."""

import pickletools
from typing import IO

from pipeline.reading.reading_limits import PICKLE_STEPS

PICKLES = 5
"""In a row, as torch wrote them before 1.6: what it is, its version, the machine, the content, the keys."""


def check_steps(file: IO[bytes], pickles: int = 1) -> None:
    """Raise ValueError if pickles, one after the other, have more than PICKLE_STEPS steps.

    Stops where there is no pickle: whoever reads it says so.
    """
    count = 0
    for _ in range(pickles):
        try:
            for _step in pickletools.genops(file):
                count += 1
                if count > PICKLE_STEPS:
                    break
        except (ValueError, MemoryError, OverflowError, UnicodeError):
            return
        if count > PICKLE_STEPS:
            raise ValueError(f"it is a pickle of more than {PICKLE_STEPS:,} steps")
