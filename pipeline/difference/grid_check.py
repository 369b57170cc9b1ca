"""Checks B's quantisers, and B's additional operators between a tensor and its readers."""

import numpy as np

from pipeline.difference.channelwise_fit import channel_order, fit_affine
from pipeline.difference.decibels import all_finite, ratio_db
from pipeline.difference.discrepancy import Discrepancy
from pipeline.difference.fault_kind import FaultKind
from pipeline.difference.place import Array
from pipeline.difference.real_graph import TensorGrid

CLIPPED_DB, COARSE_DB = 20.0, 17.0
"""A range that is worse than this for its tensor is a fault: usual ones in 8 bits leave 25 to 50 dB."""

SAME_VALUES_DB = 50.0
"""What the same values, sorted, have at least."""
FEW_STEPS = 24
"""A tenth of those of 8 bits: a range that is ten times too wide."""


def check_grid(
    place: str, grid: TensorGrid, written: Array, read: Array, wanted: Array, rectified: bool = False
) -> Discrepancy | None:
    """Compare a tensor before QuantizeLinear with its values after DequantizeLinear.

    `wanted` are A's values. A range that fits them is not a fault, even if an earlier fault changed B's
    values. rectified: a ReLU behind the tensor may be left to a grid that begins at 0.
    """
    if rectified and (grid.limits[0] == 0).all():
        wanted = np.maximum(wanted, 0)
    before = ratio_db(written, read)
    if (
        grid.zero_point.shape == grid.read_zero_point.shape
        and (grid.zero_point.astype(np.int64) != grid.read_zero_point.astype(np.int64)).any()
    ):
        evidence = f"quantised around {_shown(grid.zero_point)}, read around {_shown(grid.read_zero_point)}"
        remedy = "Give DequantizeLinear the zero point of its QuantizeLinear."
        return Discrepancy(FaultKind.ZERO_POINT, place, evidence, before, None, remedy)
    if not np.allclose(grid.scale, grid.read_scale, rtol=1e-3):
        evidence = f"quantised with a scale of {_shown(grid.scale)}, read with {_shown(grid.read_scale)}"
        remedy = "Give DequantizeLinear the scale of its QuantizeLinear."
        return Discrepancy(FaultKind.SCALE, place, evidence, before, None, remedy)
    return _range(place, grid, wanted, before)


def _range(place: str, grid: TensorGrid, wanted: Array, before: float) -> Discrepancy | None:
    low, high = grid.limits
    if low.size > 1:
        return None
    inside = np.clip(wanted, low, high)
    clipped = ratio_db(wanted, inside)
    if clipped < CLIPPED_DB and wanted.any():
        cut = float((wanted != inside).mean())
        evidence = (
            f"the range [{float(low.min()):.4g}, {float(high.max()):.4g}] cuts {cut:.1%} of the values, which"
            f" reach {float(wanted.min()):.4g} to {float(wanted.max()):.4g}"
        )
        remedy = "Calibrate on images like those of use: the range is too narrow."
        return Discrepancy(FaultKind.CLIPPED_RANGE, place, evidence, before, None, remedy)
    step = float(grid.scale.max())
    rounding = 10 * np.log10(max(1e-300, float((inside.astype(np.float64) ** 2).mean())) / (step**2 / 12))
    used = float((inside.max() - inside.min()) / step)
    if inside.any() and (rounding < COARSE_DB or (used < FEW_STEPS and rounding < CLIPPED_DB + 4)):
        evidence = f"steps of {step:.4g} leave {used:.0f} of 255 to the values: {rounding:.0f} dB"
        remedy = "The range is too wide: look for outliers in the calibration images."
        return Discrepancy(FaultKind.COARSE_RANGE, place, evidence, before, None, remedy)
    return None


def is_transposed(written: Array, read: Array) -> bool:
    """Whether a reader gets the same values with their dimensions in the other layout, NHWC or NCHW."""
    if written.ndim != 4 or read.ndim != 4:
        return False
    return any(np.array_equal(written.transpose(order), read) for order in ((0, 2, 3, 1), (0, 3, 1, 2)))


def is_rearranged(found: Array, expected: Array) -> bool:
    """Whether two tensors [N, ...] hold the same values for each picture, in another order."""
    if found.shape != expected.shape:
        return False
    ours, theirs = (np.sort(one.reshape(len(one), -1), 1) for one in (found, expected))
    return ratio_db(theirs, ours) >= SAME_VALUES_DB


def check_edge(place: str, written: Array, read: Array, least_db: float) -> Discrepancy | None:
    """Compare a tensor of B with what its reader gets, where B has operators in between that A lacks."""
    if not all_finite(read) and all_finite(written):
        share = float((~np.isfinite(read)).mean())
        evidence = f"{share:.2%} of the values are not finite where they are read"
        remedy = "Leave this layer in float32, or scale the network so that it stays below 65504."
        return Discrepancy(FaultKind.HALF_PRECISION, place, evidence, ratio_db(written, read), None, remedy)
    before = ratio_db(written, read) if written.shape == read.shape else -200.0
    if before >= least_db:
        return None
    order = channel_order(written, read)
    if order is not None and (after := order.agreement_db) > before + 10:
        evidence = f"{order.moved} of {len(order.order)} channels are read in another order"
        remedy = "Look for a reshape or transpose that takes NHWC for NCHW, or a shuffle of channels."
        return Discrepancy(FaultKind.CHANNEL_ORDER, place, evidence, before, after, remedy)
    fitted = fit_affine(written, read)
    if fitted is not None and (after := ratio_db(read, fitted.applied(written))) > before + 10:
        evidence = f"read {fitted.gain.min():.3g} to {fitted.gain.max():.3g} times as large"
        return Discrepancy(
            FaultKind.SCALE, place, evidence, before, after, "Use one scale on both sides of a tensor."
        )
    evidence = "B has operators here that A has not"
    return Discrepancy(FaultKind.UNEXPLAINED, place, evidence, before, None, "Compare the two graphs here.")


def _shown(numbers: Array) -> str:
    flat = numbers.ravel()
    return f"{flat[0]:.6g}" if flat.size == 1 else f"{flat.min():.6g} to {flat.max():.6g}"
