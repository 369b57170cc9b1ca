"""One of several equal shares of the units of a validation."""

import re
from dataclasses import dataclass
from typing import Self

from pipeline.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """One of several equal shares of the units, the first is 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "3/8". Raises UsageError."""
        found = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", text)
        if found is None or int(found[1]) > int(found[2]):
            raise UsageError(f"--shard is {text!r}. Write it as 3/8: the third of eight shares.")
        return cls(int(found[1]), int(found[2]))

    def holds(self, unit: int) -> bool:
        """Whether a unit belongs to this share; units are counted from 0."""
        return unit % self.of == self.number - 1


WHOLE = Shard(1, 1)
