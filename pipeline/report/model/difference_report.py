"""What `edgec diff` found about two forms of a network: its JSON form."""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import NonNegativeInt, PositiveInt

from pipeline.report.model.certainty import Interval
from pipeline.report.record import Record

SCHEMA_VERSION = 1
EXACT_DB = 120.0
"""From this agreement in dB on, floats are equal up to the rounding of their sums."""


class Sameness(StrEnum):
    """The verdict of a comparison."""

    IDENTICAL = "identical"
    ARITHMETIC = "same up to the order of float sums"
    ROUNDING = "same network, rounded"
    OTHER_CLASSES = "same network, rounded to other classes"
    DIFFERENT = "different"
    NOT_COMPARABLE = "not comparable"

    @property
    def exit_code(self) -> int:
        """Return 0 for the same, 1 for what cannot take its place, 4 where there is nothing to compare."""
        if self is Sameness.NOT_COMPARABLE:
            return 4
        return 1 if self in (Sameness.DIFFERENT, Sameness.OTHER_CLASSES) else 0


BETTER_DB = 0.5
"""A remedy helps if B's logits come so much closer to A's."""


class TriedRemedy(Record):
    """What a remedy does, in a copy of B: agreement of its logits with A's, without it and with it, in dB.

    Remedies are tried together at all places of a kind, on top of those of the faults above.
    """

    before_db: float
    after_db: float
    observer: str | None = None  # that a new range was read with


class FoundFault(Record):
    """A difference at one place. Agreements are in dB: 10 log10(sum a² / sum (a - b)²)."""

    kind: str
    place: str
    evidence: str
    before_db: float  # both given B's inputs
    after_db: float | None  # with the fault put into A; None: not tried
    remedy: str
    tried: TriedRemedy | None = None  # None: it cannot be tried in the graph

    @property
    def remedy_words(self) -> str:
        """Say what to do, and what came of it in a copy of B."""
        if self.tried is None:
            return f"{'Not tried' if self.after_db is None else 'What to do'}: {self.remedy}"
        before, after = self.tried.before_db, self.tried.after_db
        if after < before + BETTER_DB:
            without = f"{before:.0f} dB before, {after:.0f} after"
            return f"Tried in a copy of B, without success ({without}): {self.remedy}"
        by = f", with ranges by `{self.tried.observer}`" if self.tried.observer else ""
        return (
            f"What to do: {self.remedy} Tried in a copy of B{by}: its logits agree with A's to"
            f" {after:.0f} dB, {before:.0f} without."
        )

    @property
    def agreement_words(self) -> str:
        """Say how far A and B agree here, without the fault in A and with it."""
        without = f"given the same inputs, A and B agree to {self.before_db:.0f} dB here"
        if self.after_db is None:
            return without
        put_in = "exactly" if self.after_db >= EXACT_DB else f"to {self.after_db:.0f} dB"
        return f"{without}; with this fault put into A, {put_in}"


@dataclass(frozen=True)
class EqualFaults:
    """Faults of one kind with one remedy: the first in the order of computation, and the others."""

    first: FoundFault
    others: tuple[FoundFault, ...]

    @property
    def elsewhere(self) -> str:
        """Say where else it is."""
        count = len(self.others)
        return f"The same at {count} more {'place' if count == 1 else 'places'}"


class TensorAgreement(Record):
    """A tensor of A and the same one of B, and how far they agree, in dB."""

    tensor: str
    operator: str
    b_tensor: str = ""
    b_operator: str = ""
    here_db: float  # both computed of B's inputs
    so_far_db: float  # from the picture on


class SeenPicture(Record):
    """A picture as the first layer of each network reads it, PNG in base64; None: B's cannot be drawn."""

    a_png: str
    b_png: str | None


class TensorHistogram(Record):
    """How often a tensor has which values, in bins of one width from `low` to `high`."""

    tensor: str
    low: float
    high: float
    a: tuple[NonNegativeInt, ...]
    b: tuple[NonNegativeInt, ...]
    limits: tuple[float, float] | None  # the range of B's quantiser


class RestoredTensor(Record):
    """B's logits with one tensor put back to A's values."""

    tensor: str
    logits_db: float
    same_class: float  # share
    gain: Interval  # of that share, in points, paired


class LogitAgreement(Record):
    """The logits of both on labelled or unlabelled pictures."""

    pictures: PositiveInt
    same_class: float | None  # share; None where pixels are classified or the counts of classes differ
    agreement_db: float
    largest_difference: float
    equal_bits: bool


class ChangedClasses(Record):
    """Classes that rounding changes, where there is no fault: more than may be passed over."""

    share: float
    interval: Interval  # of that share
    remedy: str


class DifferenceReport(Record):
    """The comparison of A, which is taken to be right, with B."""

    schema_version: int = SCHEMA_VERSION
    a: str
    b: str
    verdict: Sameness
    summary: str
    notes: tuple[str, ...]
    logits: LogitAgreement | None
    rounding_db: float | None = None  # what rounding alone leaves of the logits; None: not measured
    changed_classes: ChangedClasses | None = None  # None: no more than may be passed over
    looked_inside: NonNegativeInt  # pictures whose tensors were compared; 0: outputs alone
    matched_by: str
    matched_share: float
    faults: tuple[FoundFault, ...]
    tensors: tuple[TensorAgreement, ...]
    restored: tuple[RestoredTensor, ...]
    seen: tuple[SeenPicture, ...] = ()
    histograms: tuple[TensorHistogram, ...] = ()
    processor: str  # of this machine, which compares the tensors
    a_ran_on: str | None = None  # what computed A's logits; None: they were recorded
    b_ran_on: str | None = None

    @property
    def run_words(self) -> str:
        """Say what ran the two."""
        if self.a_ran_on == self.b_ran_on == self.processor:
            return f"Run on {self.processor}."
        sides = {"A": self.a_ran_on, "B": self.b_ran_on}
        ran = [
            f"{side}'s logits were recorded" if place is None else f"{side} ran on {place}"
            for side, place in sides.items()
        ]
        return f"{'; '.join(ran)}. Tensors were compared on {self.processor}."

    def equal_faults(self) -> tuple[EqualFaults, ...]:
        """Return the faults in groups that differ in their place only."""
        found: dict[tuple[str, str], list[FoundFault]] = {}
        for fault in self.faults:
            found.setdefault((fault.kind, fault.remedy), []).append(fault)
        return tuple(EqualFaults(first, tuple(others)) for first, *others in found.values())
