"""bc: bias correction; see `calibration.rounding`."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from calibration.correction import BiasCorrection

if TYPE_CHECKING:
    from calibration.grid import QuantizedWeight
    from calibration.moments import InputMoments
    from calibration.weight_layers import LayerWeights


class MeanBiasCorrection(BiasCorrection):
    """Takes each output channel's mean error out of its bias."""

    word = "bc"
    summary = "take each output channel's mean error out of its bias"

    def bias(
        self, layer: "LayerWeights", weight: "QuantizedWeight", moments: "InputMoments"
    ) -> NDArray[np.float32]:
        """See `corrected_bias`."""
        from calibration.rounding import corrected_bias

        return corrected_bias(layer, weight, moments)
