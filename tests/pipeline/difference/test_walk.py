"""Each kind of fault is named where it is planted, and sound networks are not accused."""

import numpy as np
import onnx
import pytest

from benchmarks.planted.planters import PLANTERS
from benchmarks.planted.rewiring import insert_behind, set_constant
from pipeline.difference.compare import compare
from pipeline.difference.fault_kind import FaultKind
from tests.pipeline.difference.planted_fault import planted, planted_at
from tests.pipeline.difference.small_pair import Pair

OF_PICTURES = {FaultKind.PICTURE_COLOURS, FaultKind.NORMALISATION, FaultKind.PICTURE_GEOMETRY}
OF_QUANTISERS = {
    "clipped range",
    "range from 0",
    "coarse activation",
    "scale behind",
    "zero point",
    "scale of another axis",
    "truncated weights",
}
"""Faults that a float network cannot have."""
RECTIFIED = {"no activation", "leaky activation"}
"""Faults that do not show where the range of the next quantiser begins at 0."""


@pytest.mark.parametrize("fault", PLANTERS)
@pytest.mark.parametrize("form", ["float", "w8a8_asym_mse_bc"])
def test_a_planted_fault_is_named(fault: str, form: str, pair: Pair) -> None:
    if fault in (OF_QUANTISERS if form == "float" else RECTIFIED):
        return
    model = pair.float_model if form == "float" else pair.quantised[form]
    changed, place = planted(model, fault, pair)
    kind = FaultKind(PLANTERS[fault][0])

    found = compare(pair.float_model, changed, pair.pictures)

    named = [one for one in found.findings if one.kind is kind]
    assert named, found.findings
    assert kind in OF_PICTURES or place in {one.place for one in named}


@pytest.mark.parametrize(
    "fault", ["bgr", "std", "no bias", "other weights", "leaky activation", "no residual"]
)
def test_a_fault_is_named_where_channels_are_rescaled_on_purpose(fault: str, pair: Pair) -> None:
    changed, _ = planted(pair.quantised["w8a8_sym_mse_eq_bc"], fault, pair)

    found = compare(pair.float_model, changed, pair.pictures)

    assert PLANTERS[fault][0] in {one.kind for one in found.findings}


@pytest.mark.parametrize("first", ["other norm", "scale of another axis"])
def test_gains_behind_gains_are_two_faults_where_channels_are_rescaled(first: str, pair: Pair) -> None:
    """All behind the first was unknown, so that the second was none, or a range that it made too narrow."""
    faults = {"down": first, "last": {"other norm": "scale of another axis"}.get(first, "other norm")}
    changed = pair.quantised["w8a8_sym_mse_eq_bc"]
    for place, fault in faults.items():
        changed = planted_at(place, changed, fault)

    found = compare(pair.float_model, changed, pair.pictures)

    assert [(one.place, one.kind) for one in found.findings] == [
        (place, PLANTERS[fault][0]) for place, fault in faults.items()
    ]


@pytest.mark.parametrize(
    ("means", "factor", "kinds"), [((160, 115, 70), 1.0, ["bgr"]), ((115, 115, 115), 1.2, ["bgr", "std"])]
)
def test_another_order_of_channels_alone_is_no_other_normalisation(
    means: tuple[float, ...], factor: float, kinds: list[str], pair: Pair
) -> None:
    """Each channel gets the mean and std of another one, which is not named beside the order."""
    sound = onnx.ModelProto()
    sound.CopyFrom(pair.float_model)
    set_constant(sound, "mean", np.array(means, np.float32))
    changed, _ = planted(sound, "bgr", pair)
    insert_behind(changed, "planes", [("Mul", [np.array(factor, np.float32)], {})])

    found = compare(sound, changed, pair.pictures)

    assert [one.kind for one in found.findings] == [PLANTERS[kind][0] for kind in kinds]


def test_sound_networks_are_not_accused(pair: Pair) -> None:
    for model in (pair.float_model, *pair.quantised.values()):
        assert compare(pair.float_model, model, pair.pictures).findings == ()


def test_two_quantised_forms_of_one_network_are_not_accused(pair: Pair) -> None:
    first, second = pair.quantised.values()
    assert compare(first, second, pair.pictures).findings == ()


@pytest.mark.parametrize("fault", ["clipped range", "coarse activation", "scale behind", "zero point"])
def test_a_bad_quantiser_on_both_sides_is_not_a_difference(fault: str, pair: Pair) -> None:
    changed, _ = planted(pair.quantised["w8a8_asym_mse_bc"], fault, pair)
    assert compare(pair.float_model, changed, pair.pictures).findings
    assert compare(changed, changed, pair.pictures).findings == ()


def test_tensors_are_found_without_their_names(pair: Pair) -> None:
    renamed = onnx.ModelProto()
    renamed.CopyFrom(pair.quantised["w8a8_asym_mse_bc"])
    kept = {"image", "logits"}
    for node in renamed.graph.node:
        node.name = ""
        for names in (node.input, node.output):
            for slot, name in enumerate(names):
                if name and name not in kept:
                    names[slot] = f"t{abs(hash(name))}"
    for constant in renamed.graph.initializer:
        constant.name = f"t{abs(hash(constant.name))}"
    changed, _ = planted(renamed, "4-bit weights", pair)

    sound, faulty = (compare(pair.float_model, one, pair.pictures) for one in (renamed, changed))

    assert sound.findings == ()
    assert sound.sides.matching.share > 0.7
    assert {one.kind for one in faulty.findings} == {FaultKind.WEIGHT_PRECISION}
