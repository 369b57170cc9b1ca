"""Tensors that B holds with other gains or shifts than A.

A quantised network may hold a tensor with other gains than A's on purpose: equalisation scales the channels
of one layer and divides by the same gains in the next. Such gains are a fault only if a reader does not take
them back.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.difference.channelwise_fit import ChannelAffine
from pipeline.difference.decibels import by_channel
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.kept_gains import NEAR
from pipeline.difference.layer_check import LayerConstants, expected_factor, expected_gains, taken_back
from pipeline.difference.place import Array, GraphPlace, Sides, Values
from pipeline.difference.weights_compared import name_gains, vary

BIAS_SHIFT = 0.25
"""The least shift of a layer's output that no correction of a bias explains, in its standard deviations."""
CENTRED_SHIFT = 0.05
"""The least shift of a tensor that B centres, in its standard deviations."""


@dataclass(frozen=True)
class Domain:
    """B's tensor is A's with gains and shifts, or is read so behind a fault."""

    affine: ChannelAffine
    origin: str
    """A's tensor where the gains began."""
    suspected: Discrepancy | None
    """The fault if no reader takes them back; None where it is found already."""


@dataclass
class Domains:
    """What is known so far of B's gains, by A's tensors."""

    known: dict[str, Domain] = field(default_factory=dict)
    uncertain: set[str] = field(default_factory=set)
    """Tensors behind a fault in a network that B rescales: their gains are not known."""
    _confirmed: set[str] = field(default_factory=set)

    @property
    def rescaled(self) -> dict[str, ChannelAffine]:
        """The gains and shifts of all tensors where something is known of them."""
        return {tensor: domain.affine for tensor, domain in self.known.items()}

    def undone(self, given: Values, inputs: Collection[str]) -> Values:
        """Return B's values of these inputs without their gains and shifts: what A's operators expect."""
        return {name: self.known[name].affine.undone(given[name]) for name in inputs}

    def as_b_holds(self, tensor: str, ours: Array, theirs: Array) -> Array:
        """Return A's values as B should hold them; B's own where that is not known."""
        if tensor in self.known:
            return self.known[tensor].affine.applied(ours)
        return theirs if tensor in self.uncertain or ours.shape != theirs.shape else ours

    def are_shifted(self, inputs: Collection[str], values: Mapping[str, Array]) -> bool:
        """Whether B centres one of these tensors, so that other operators than A's can give A's values.

        `values` has B's values of the tensors by A's names.
        """
        return any(
            float(abs(self.known[name].affine.shift).max()) > CENTRED_SHIFT * float(values[name].std())
            for name in inputs
        )

    def confirm(self, tensors: Collection[str]) -> list[Discrepancy]:
        """Return the faults that the gains of these tensors are, each once, and forget what came of them."""
        faults = []
        for tensor in tensors:
            domain = self.known.pop(tensor)
            if domain.origin not in self._confirmed:
                self._confirmed.add(domain.origin)
                faults += [] if domain.suspected is None else [domain.suspected]
        self.known = {n: d for n, d in self.known.items() if d.origin not in self._confirmed}
        return faults

    def suspect(
        self,
        sides: Sides,
        place: GraphPlace,
        fitted: ChannelAffine,
        suspected: Discrepancy,
        constants: LayerConstants | None,
    ) -> list[Discrepancy]:
        """Note gains and shifts of a layer's output; return those that equalisation does not explain."""
        tensor = place.node.output
        spread = by_channel(place.expected).std(1) + 1e-15
        shifted = float(np.sqrt(((fitted.shift / spread) ** 2).mean())) > BIAS_SHIFT
        of_bias = suspected.kind in (FaultKind.BIAS, FaultKind.BIAS_CORRECTION)
        faults = [suspected] if of_bias and shifted else []
        if faults and (constants is None or not constants.gains_vary):
            return faults
        if suspected.kind in (FaultKind.NORM, FaultKind.WEIGHT_SCALES) and constants is not None:
            meant = expected_gains(sides, tensor, len(constants.gains))
            if meant is not None and not taken_back(sides, tensor, constants.gains):
                factor = expected_factor(sides, tensor, meant)
                if factor is None:
                    factor = float(np.exp(np.log(abs(fitted.gain) / meant).mean()))
                read_as = ChannelAffine(meant * factor, np.zeros_like(meant))
                self.known[tensor] = Domain(read_as, f"{tensor} as it is read", None)
                return [*faults, suspected]  # the next layers take other gains back
        self.known[tensor] = Domain(fitted, tensor, suspected)
        return faults

    def behind_fault(
        self, sides: Sides, place: GraphPlace, constants: LayerConstants | None, gains: Array | None
    ) -> None:
        """Note the gains that B's weights show behind a fault, or that they are unknown."""
        tensor = place.node.output
        if gains is None or constants is None:
            if self.known:
                self.uncertain.add(tensor)
            return
        meant = expected_gains(sides, tensor, len(gains))
        if constants.named is not None and meant is not None:  # coarse weights show gains coarsely
            gains = meant * float(np.median(gains / meant))
        if vary(gains) or abs(float(np.median(gains)) - 1) > NEAR:
            evidence = f"B's channels are {gains.min():.3g} to {gains.max():.3g} times A's"
            named = name_gains(constants.theirs, gains)
            here = place.agreement(place.run())
            suspected = Discrepancy(named.kind, tensor, evidence, here, None, named.remedy)
            self.known[tensor] = Domain(ChannelAffine(gains, np.zeros_like(gains)), tensor, suspected)
