"""What report.json says of the noise that each layer adds when it alone is quantised."""

from pipeline.report.record import Record


class LayerSensitivity(Record):
    """What quantising one layer alone costs, and what is left when all but it are quantised."""

    layer: str
    sqnr_db: float  # of the logits with only this layer in INT8
    agreement: float  # share of images with the same top-1, then
    without_sqnr_db: float  # of the logits with every layer but this one in INT8
