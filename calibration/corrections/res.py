"""res: 16 bits for what residual additions read; see `calibration.placement`."""

from calibration.correction import ResidualReading


class WideResiduals(ResidualReading):
    """Keeps the rounding of one block after the other from adding up along the residual connections.

    Convolutions go on to read 8 bits: under w8a8_asym a copy of what has 16.
    """

    word = "res"
    summary = (
        "16 bits for what residual additions read, 8 for the convolutions beside them: integers on CPUs, "
        "FP16 under TensorRT"
    )
