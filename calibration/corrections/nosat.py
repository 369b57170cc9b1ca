"""nosat: weights that cannot saturate in engines that add in 16 bits; see `calibration.no_saturation`."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.correction import Need, WeightRounding

if TYPE_CHECKING:
    from calibration.grid import QuantizedWeight
    from calibration.moments import InputMoments
    from calibration.weight_layers import LayerWeights


class UnsaturatedRounding(WeightRounding):
    """Rounds by second order, as obq does, and keeps every pair of neighbours small enough for 16 bits."""

    word = "nosat"
    summary = "weights that cannot saturate in engines that add in 16 bits; rounds as obq does"
    needs = frozenset({Need.IMAGES, Need.MOMENTS, Need.COVARIANCES})
    undone_by_training = "training moves one weight of a pair without regard to the other"
    conflicts: ClassVar = {"ada": undone_by_training, "obq": "nosat rounds by second order itself"}

    def round(
        self, layer: "LayerWeights", scales: NDArray[np.float32], moments: "InputMoments"
    ) -> "QuantizedWeight":
        """See `unsaturated_rounding`."""
        from calibration.no_saturation import unsaturated_rounding

        return unsaturated_rounding(layer.weight, scales, moments.hessian)
