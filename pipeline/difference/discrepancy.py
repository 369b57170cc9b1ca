"""What a comparison finds at one place of a network."""

from dataclasses import dataclass

from pipeline.difference.fault_kind import FaultKind


@dataclass(frozen=True)
class Discrepancy:
    """A difference that rounding does not explain."""

    kind: FaultKind
    place: str
    """The node or tensor, by A's name."""
    evidence: str
    """What was seen, in words and numbers."""
    before_db: float
    """How far A and B agree here, both given B's inputs."""
    after_db: float | None
    """How far they agree when the fault is put into A; None if that was not tried."""
    remedy: str
    """What takes the difference away."""
