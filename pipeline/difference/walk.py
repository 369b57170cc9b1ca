"""Goes through two networks in the order of computation, and collects what rounding does not explain.

At each place A's operators compute from what B's operators read there, so that a fault shows where it is made
and nowhere behind it. Where B holds an input with other gains than A (`domains.py`), A computes from what the
input would be without them.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.difference.channelwise_fit import ChannelAffine, fit_affine
from pipeline.difference.decibels import ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.domains import Domain, Domains
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.first_layer import check_first_layer
from pipeline.difference.fused_differently import added_activation, fused_range, without_moved
from pipeline.difference.gains_fault import blame_norm, gains_fault
from pipeline.difference.grid_check import check_edge, check_grid, is_rearranged, is_transposed
from pipeline.difference.kept_gains import gains_by_weights, has_the_same_weights
from pipeline.difference.layer_check import LayerConstants, layer_constants, taken_back
from pipeline.difference.output_check import check_output
from pipeline.difference.place import Array, GraphPlace, Sides
from pipeline.difference.real_graph import LAYERS
from pipeline.difference.structure_check import other_operators, with_other_constants
from pipeline.difference.weights_compared import NamedDifference, name_gains, vary

FLOAT_DB, ROUNDED_DB = 50.0, 22.0
"""The least agreement of one operator, given the same inputs: both in float; with weights in 8 bits."""
SUSPICIOUS_DB = 34.0
"""Layers that agree less have their weights compared."""
BETTER_DB, CLOSER_DB = 8.0, 3.0
"""What gains and shifts have to bring: as the first explanation; where nothing else explains a layer."""


@dataclass(frozen=True)
class TensorError:
    """How far a tensor of B is from A's, in dB: computed of the same inputs, and from the picture on."""

    tensor: str
    operator: str
    b_tensor: str
    b_operator: str
    here_db: float
    so_far_db: float


@dataclass
class Walk:
    """What was found so far."""

    sides: Sides
    pictures: NDArray[np.uint8]
    findings: list[Discrepancy] = field(default_factory=list)
    errors: list[TensorError] = field(default_factory=list)
    domains: Domains = field(default_factory=Domains)

    def all_places(self) -> None:
        """Look at every matched tensor, in A's order."""
        for tensor in self.sides.matching.names:
            self._place(tensor)
            if tensor in self.sides.matching.names:
                self._quantisers(tensor)
        if self.sides.a.output in self.domains.known:
            self.findings.extend(self.domains.confirm([self.sides.a.output]))
        self.findings = without_moved(self.sides, self.findings)
        order = {node.output: number for number, node in enumerate(self.sides.a.nodes)}
        self.findings.sort(key=lambda finding: order.get(finding.place, -1))

    @property
    def _is_rounded(self) -> bool:
        return bool(self.sides.b.weight_steps) or bool(self.sides.a.weight_steps)

    def _least_db(self, place: GraphPlace) -> float:
        return ROUNDED_DB if self._is_rounded and place.node.operator in LAYERS else FLOAT_DB

    def _place(self, tensor: str) -> None:
        place = self.sides.place(tensor)
        if not np.issubdtype(place.expected.dtype, np.floating):
            return
        is_first = place.node.operator in LAYERS and not set(place.node.inputs) & self.sides.a.behind_layer
        if is_first:
            place = self.sides.first_layer(tensor)
        if not np.isfinite(place.expected).any():
            return
        inputs = [name for name in place.given if name in self.domains.known]
        raw = place.run()
        undone = place.with_given(self.domains.undone(place.given, inputs))
        found = undone.run() if inputs else raw
        here = place.agreement(found)
        self._note(place, here)
        if is_first:
            self._first_layer(place, found, here)
        elif self.domains.uncertain & set(place.given):
            self._behind_unknown(place)
        elif place.node.operator in LAYERS:
            self._layer(place, undone, found, raw, here, inputs)
        elif place.node.output in self.sides.a.behind_layer:  # what is in front is found at the first layer
            self._other(place, found, raw, inputs)

    def _note(self, place: GraphPlace, here: float) -> None:
        ours = self.sides.a_values[place.node.output]
        so_far = ratio_db(ours, place.expected) if ours.shape == place.expected.shape else here
        node, theirs = place.node, self.sides.matching.names[place.node.output]
        operator = "" if place.counterpart is None else place.counterpart.operator
        self.errors.append(TensorError(node.output, node.operator, theirs, operator, here, so_far))

    def _first_layer(self, place: GraphPlace, found: NDArray[np.float32], here: float) -> None:
        if here >= (SUSPICIOUS_DB if self._is_rounded else FLOAT_DB):
            return
        constants = layer_constants(self.sides, place, None)
        known = gains_by_weights(self.sides, place, constants, None)
        least = self._least_db(place)
        outcome = check_first_layer(self.sides, place, self.pictures, constants, least, known)
        if outcome is not None and not outcome.may_be_meant:
            self.findings.extend(outcome.findings)
            self.domains.behind_fault(self.sides, place, constants, known)
            return
        fitted = fit_affine(found, place.expected)
        if fitted is not None and place.agreement(fitted.applied(found)) > max(here + BETTER_DB, ROUNDED_DB):
            named = None if outcome is None else outcome.findings[0]
            self._suspect(place, fitted, constants, here, named)
        elif outcome is not None:
            self.findings.extend(outcome.findings)
            self.domains.behind_fault(self.sides, place, constants, known)
        elif here < least:
            ranged = self._picture_range(place)
            self.findings.extend(self._explained(place, place, here) if ranged is None else (ranged,))
            self.domains.behind_fault(self.sides, place, constants, known)

    def _suspect(
        self,
        place: GraphPlace,
        fitted: ChannelAffine,
        constants: LayerConstants | None,
        here: float,
        named: Discrepancy | None = None,
    ) -> None:
        suspected = named or gains_fault(self.sides, place, fitted, constants, here)
        self.findings.extend(self.domains.suspect(self.sides, place, fitted, suspected, constants))

    def _picture_range(self, place: GraphPlace) -> Discrepancy | None:
        """Say what the quantiser of B's picture does to A's picture."""
        if place.counterpart is None or len(place.given) != 1:
            return None
        ((name, seen),) = place.given.items()
        grid = self.sides.b.grids.get(place.counterpart.inputs[0])
        if grid is None:
            return None
        return check_grid(name, grid, self.sides.b_values[grid.written], self.sides.b_values[grid.read], seen)

    def _layer(
        self,
        place: GraphPlace,
        undone: GraphPlace,
        found: NDArray[np.float32],
        raw: NDArray[np.float32],
        here: float,
        inputs: list[str],
    ) -> None:
        least = self._least_db(place)
        if here >= (SUSPICIOUS_DB if self._is_rounded else least):
            return
        gains = [self.domains.known[name].affine.gain for name in inputs if name == place.node.inputs[0]]
        if gains and vary(gains[0]) and has_the_same_weights(self.sides, place):
            self.findings.extend(self.domains.confirm(inputs))  # nothing in this layer takes them back
            self._layer(place, place, raw, raw, place.agreement(raw), [])
            return
        constants = layer_constants(self.sides, place, gains[0] if gains else np.ones(1))
        named = constants.named if constants is not None and here < SUSPICIOUS_DB else None
        if inputs and place.agreement(raw) >= max(least, here):
            self.findings.extend(self.domains.confirm(inputs))
            return
        fitted = fit_affine(found, place.expected) if named is None else None
        after = -np.inf if fitted is None else place.agreement(fitted.applied(found))
        is_last = place.node.output == self.sides.a.output  # nothing behind it takes gains back
        if fitted is not None and after >= max(least, here + BETTER_DB) and not (is_last and here >= least):
            self._suspect(place, fitted, constants, here)
            return
        if here >= least and named is None:
            return
        explained = self._explained(place, undone, here, constants)
        unexplained = all(one.kind is FaultKind.UNEXPLAINED for one in explained)
        if unexplained and fitted is not None and after >= max(least, here + CLOSER_DB):
            self._suspect(place, fitted, constants, here)
            return
        self.findings.extend(explained)
        known = gains_by_weights(self.sides, place, constants, gains[0] if gains else np.ones(1))
        self.domains.behind_fault(self.sides, place, constants, known)

    def _other(
        self,
        place: GraphPlace,
        found: NDArray[np.float32],
        raw: NDArray[np.float32],
        inputs: list[str],
    ) -> None:
        """Look at an operator without weights: given B's values it gives B's, but for float sums."""
        exact = place.agreement(raw)
        is_exact = exact >= FLOAT_DB or (len(place.nodes) > 1 and exact >= self._least_db(place))
        if inputs and (is_exact or self._are_shifted(inputs)):
            fitted = fit_affine(found, place.expected)
            if fitted is not None and place.agreement(fitted.applied(found)) >= ROUNDED_DB:
                self.domains.known[place.node.output] = replace(self.domains.known[inputs[0]], affine=fitted)
                return
            if is_exact:
                self.findings.extend(self.domains.confirm(inputs))
        if is_exact:
            return
        if self._is_rounded and any(n.operator in LAYERS for n in place.nodes) and exact >= ROUNDED_DB:
            return
        if not inputs and is_rearranged(found, place.expected) and self._is_read_so(place.node.output):
            return
        self.findings.extend(self._explained(place, place, exact))
        if inputs and len(self.domains.known[inputs[0]].affine.gain) == place.expected.shape[1]:
            self.domains.known[place.node.output] = self.domains.known[inputs[0]]

    def _is_read_so(self, tensor: str) -> bool:
        """Whether all readers of a tensor expect the order of values that B holds it in, such as NHWC.

        Then A's operators over it give what B's readers give, and the tensor is no longer compared.
        """
        without = self.sides.without(tensor)
        readers = [node for node in self.sides.a.nodes if tensor in node.inputs]
        if not readers or any(node.output not in without.matching.names for node in readers):
            return False
        for node in readers:
            place = without.place(node.output)
            if place.agreement(place.run()) < self._least_db(place):
                return False
        self.sides = without
        return True

    def _are_shifted(self, inputs: list[str]) -> bool:
        values = {name: self.sides.b_values[self.sides.matching.names[name]] for name in inputs}
        return self.domains.are_shifted(inputs, values)

    def _behind_unknown(self, place: GraphPlace) -> None:
        """Check an operator with B's own weights where A's values are unknown; and the weights."""
        self.domains.uncertain.add(place.node.output)
        if place.node.output == self.sides.a.output:
            last = self._output(place, place)
            if last is not None:
                self.findings.append(last)
                return
        here, found = with_other_constants(self.sides, place)
        if here is not None and here < FLOAT_DB and found is not None:
            self.findings.append(found)
        if (named := self._other_constants(place)) is not None:
            tensor = place.node.output
            agreement = place.agreement(place.run())
            self.findings.append(
                Discrepancy(named.kind, tensor, named.evidence, agreement, None, named.remedy)
            )

    def _other_constants(self, place: GraphPlace) -> NamedDifference | None:
        """Name a difference of a layer's weights, whatever the gains of its inputs are."""
        constants = layer_constants(self.sides, place, None)
        if constants is None or constants.named is not None:
            return None if constants is None else constants.named
        if not constants.gains_vary or taken_back(self.sides, place.node.output, constants.gains):
            return None
        named = name_gains(constants.theirs, constants.gains)
        return named if named.kind is FaultKind.WEIGHT_SCALES else None

    def _explained(
        self, place: GraphPlace, undone: GraphPlace, here: float, constants: LayerConstants | None = None
    ) -> tuple[Discrepancy, ...]:
        if place.node.output == self.sides.a.output:
            finding = self._output(place, undone)
            if finding is not None:
                return (finding,)
        return other_operators(self.sides, place, undone, here, constants)

    def _output(self, place: GraphPlace, undone: GraphPlace) -> Discrepancy | None:
        """Say what is done behind the logits: by A's operators, else by what B has in front of its last."""
        tensor = place.node.output
        found = check_output(tensor, undone.run(), place.expected)
        if found is not None or place.counterpart is None:
            return found
        before = self.sides.b_values.get(place.counterpart.inputs[0])
        return None if before is None else check_output(tensor, before, place.expected)

    def _quantisers(self, tensor: str) -> None:
        """Check B's quantisers of a tensor, and B's own operators between the tensor and its readers."""
        sides, theirs = self.sides, self.sides.matching.names[tensor]
        ours = self.domains.as_b_holds(tensor, sides.a_values[tensor], sides.b_values[theirs])
        self._grid(tensor, theirs, ours)
        if tensor in self.sides.a.behind_layer:  # what is done to the picture is found at the first layer
            for read in sides.read_elsewhere(tensor):
                self._edge(tensor, read, ours)

    def _edge(self, tensor: str, read: str, ours: Array) -> None:
        written, given = self.sides.b_values[self.sides.matching.names[tensor]], self.sides.b_values[read]
        fitted = fit_affine(written, given)
        self._grid(tensor, read, given if fitted is None else fitted.applied(ours))
        if is_transposed(written, given):
            return  # another layout: what reads it shows whether that is meant
        if (activation := added_activation(self.sides, tensor, read)) is not None:
            self.findings.append(activation)
            return
        found = check_edge(tensor, written, given, ROUNDED_DB)
        if found is None:
            return
        found = blame_norm(found, self.sides.b.producer(read))
        if found.kind is FaultKind.SCALE and fitted is not None and tensor not in self.domains.known:
            self.domains.known[tensor] = Domain(fitted, tensor, found)  # unless its readers take it back
        else:
            self.findings.append(found)

    def _grid(self, tensor: str, theirs: str, wanted: Array) -> None:
        for grid in self.sides.b.all_grids.get(theirs, ()):
            if any(grid.rounds_as(same) for same in self.sides.a.all_grids.get(tensor, ())):
                continue  # what both do, good or bad, is not a difference
            written, read = self.sides.b_values[grid.written], self.sides.b_values[grid.read]
            found = check_grid(tensor, grid, written, read, wanted, self.sides.is_rectified(tensor))
            if found is not None and found not in self.findings:
                self.findings.append(fused_range(self.sides, tensor, grid, wanted, found) or found)
