"""A shard: one of several equal shares of the units of a validation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

from pipeline.errors import UsageError

Unit = TypeVar("Unit")


MOST_SHARDS = 999_999


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
        found = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", text)  # up to MOST_SHARDS
        if found is None or int(found[1]) > int(found[2]):
            raise UsageError(f"--shard is {text!r}. Write it as 3/8: the third of eight shards.")
        return cls(int(found[1]), int(found[2]))

    def share_of(self, units: Sequence[Unit]) -> Sequence[Unit]:
        """Return the units of this shard: every n-th of all, in order."""
        return units[self.number - 1 :: self.of]


WHOLE = Shard(1, 1)
