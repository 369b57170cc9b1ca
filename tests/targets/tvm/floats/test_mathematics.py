"""How far our functions are from the exact ones, which SciPy computes in float64."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from scipy import special

from targets.tvm.floats import island_oracle
from targets.tvm.tensors import Dense
from tests.targets.tvm.floats.island_graphs import elementwise, island

Doubles = NDArray[np.float64]
NORMAL = float(np.finfo(np.float32).tiny)


def ulps(found: NDArray[np.float32], exact: Doubles) -> Doubles:
    """Distance in units in the last place of the exact result."""
    spacing = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return np.asarray(np.abs(found.astype(np.float64) - exact) / spacing)


@pytest.mark.parametrize(
    ("op", "exact", "low", "high", "allowed"),
    [
        ("Exp", np.exp, -87.0, 88.7, 2),
        ("Sigmoid", special.expit, -80.0, 100.0, 4),
        ("Tanh", np.tanh, -12.0, 12.0, 4),
        ("Log", np.log, 1e-6, 1e6, 4),
        ("Sqrt", np.sqrt, 0.0, 1e6, 0.5),
    ],
)
def test_error_in_units_in_the_last_place(
    op: str, exact: Callable[[Doubles], Doubles], low: float, high: float, allowed: float
) -> None:
    random = np.random.default_rng(0)
    near = np.clip(random.normal(0, 1, 20_000), low, high)
    x = np.concatenate([np.linspace(low, high, 100_001), near, near * 1e-3]).astype(np.float32)
    x = x[(x >= low) & (x <= high)]
    found, wanted = elementwise(op, x), exact(x.astype(np.float64))
    normal = np.abs(wanted) > NORMAL
    assert ulps(found[normal], wanted[normal]).max() <= allowed


def test_erf_is_close() -> None:
    x = np.linspace(-6, 6, 100_001).astype(np.float32)
    assert np.abs(elementwise("Erf", x) - special.erf(x.astype(np.float64))).max() < 5e-7


@pytest.mark.parametrize("exponent", [2.87, 1 / 3, -1.5, 3.0, 2.0, 0.0, -1.0])
def test_powers_are_close_and_signed_as_numpys(exponent: float) -> None:
    x = np.concatenate([np.linspace(-40, 40, 10_001), np.geomspace(1e-6, 1e6, 1_001), [0]]).astype(np.float32)
    shape = (1, x.size)
    one = island([helper.make_node("Pow", ["x", "p"], ["y"])], Dense("x", shape), Dense("y", shape))
    one.model.graph.initializer.append(numpy_helper.from_array(np.array(exponent, np.float32), "p"))
    found = island_oracle.evaluate(one, {"x": x.reshape(1, 1, -1)})["y"].ravel()
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = x.astype(np.float64) ** np.float32(exponent)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


def test_ends_of_the_range() -> None:
    huge = np.array([-np.inf, -1e30, -88.0, 0.0, 88.73, 1e30, np.inf], np.float32)
    assert elementwise("Exp", huge).tolist() == [0, 0, 0, 1, np.inf, np.inf, np.inf]
    assert elementwise("Tanh", huge).tolist() == [-1, -1, -1, 0, 1, 1, 1]
    assert elementwise("Sigmoid", huge)[[0, 1, 3, 5, 6]].tolist() == [0, 0, 0.5, 1, 1]
    logs = elementwise("Log", np.array([0, 1, np.inf, 1e-40], np.float32))
    assert logs[:3].tolist() == [-np.inf, 0, np.inf]
    assert logs[3] == pytest.approx(np.log(1e-40), rel=1e-5)
    assert np.isnan(elementwise("Log", np.array([-1], np.float32)))[0]
