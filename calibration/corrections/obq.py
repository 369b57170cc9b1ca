"""obq: second-order rounding of the weights; see `calibration.second_order`."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.correction import Need, WeightRounding

if TYPE_CHECKING:
    from calibration.grid import QuantizedWeight
    from calibration.moments import InputMoments
    from calibration.weight_layers import LayerWeights


class SecondOrderRounding(WeightRounding):
    """Moves the error of each rounded weight onto the weights that are not rounded yet (GPTQ)."""

    word = "obq"
    summary = "second-order rounding of the weights (GPTQ)"
    needs = frozenset({Need.IMAGES, Need.MOMENTS, Need.COVARIANCES})

    def round(
        self, layer: "LayerWeights", scales: NDArray[np.float32], moments: "InputMoments"
    ) -> "QuantizedWeight":
        """See `least_error_rounding`."""
        from calibration.second_order import least_error_rounding

        return least_error_rounding(layer.weight, scales, moments.hessian)
