"""The corrections that a recipe can name, one file each; `correction` says what a file declares."""

from calibration.correction import Correction
from calibration.corrections.ada import LearnedRounding
from calibration.corrections.bc import MeanBiasCorrection
from calibration.corrections.ctr import Centring
from calibration.corrections.eq import Equalization
from calibration.corrections.nosat import UnsaturatedRounding
from calibration.corrections.obq import SecondOrderRounding
from calibration.corrections.pix import LosslessPixels
from calibration.corrections.res import WideResiduals
from calibration.corrections.sens import SensitiveRanges
from calibration.corrections.sparse import StructuredSparsity
from calibration.corrections.wide import WideActivations
from calibration.corrections.widest import WidestActivations
from calibration.corrections.wmse import LeastSquaresScales

CORRECTIONS: list[Correction] = [
    Equalization(),
    Centring(),
    LosslessPixels(),
    SensitiveRanges(),
    WideResiduals(),
    WideActivations(),
    WidestActivations(),
    LeastSquaresScales(),
    SecondOrderRounding(),
    UnsaturatedRounding(),
    StructuredSparsity(),
    MeanBiasCorrection(),
    LearnedRounding(),
]
"""In the order of recipe names; corrections of one kind run in this order too."""
