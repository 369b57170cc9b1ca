"""wmse: weight scales of least squared error; see `calibration.rounding`."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.correction import Need, WeightScaling

if TYPE_CHECKING:
    from calibration.moments import InputMoments
    from calibration.weight_layers import LayerWeights


class LeastSquaresScales(WeightScaling):
    """Weighs each weight's error by the power of the input that it multiplies."""

    word = "wmse"
    summary = "weight scales of least squared error, weighted by the inputs' power"
    needs = frozenset({Need.IMAGES, Need.MOMENTS, Need.COVARIANCES})

    def scales(self, layer: "LayerWeights", moments: "InputMoments") -> NDArray[np.float64]:
        """See `mse_scales`."""
        from calibration.rounding import mse_scales

        return mse_scales(layer.weight, moments.importance)
