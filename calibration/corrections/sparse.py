"""sparse: at most two of four weights along the input channels are not zero; see `calibration.sparsity`."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from calibration.correction import Need, WeightRounding
from calibration.scheme import Scheme

if TYPE_CHECKING:
    from calibration.grid import QuantizedWeight
    from calibration.moments import InputMoments
    from calibration.weight_layers import LayerWeights


class StructuredSparsity(WeightRounding):
    """Prunes two of four weights and rounds the others, moving the error onto weights that come later."""

    word = "sparse"
    summary = "2:4 sparsity for NVIDIA's GPUs, pruned and rounded by second order (SparseGPT)"
    needs = frozenset({Need.IMAGES, Need.MOMENTS, Need.COVARIANCES})
    pointless: ClassVar = {Scheme.ASYM: "is for processors, whose kernels skip no zeros"}
    kept_in_training = True
    conflicts: ClassVar = {
        "ada": "learning to round moves weights that were pruned",
        "nosat": "each chooses all weights",
        "obq": "sparse rounds by second order itself",
    }

    def round(
        self, layer: "LayerWeights", scales: NDArray[np.float32], moments: "InputMoments"
    ) -> "QuantizedWeight":
        """See `sparse_rounding`."""
        from calibration.sparsity import sparse_rounding

        return sparse_rounding(layer.weight, scales, moments.hessian)
