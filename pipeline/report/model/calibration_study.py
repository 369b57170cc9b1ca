"""How many calibration images are enough: the content of study.json."""

from typing import Literal

from pydantic import NonNegativeFloat, PositiveInt

from pipeline.report.record import Record


class Draw(Record):
    """What one random draw of calibration images gave on the images that judge."""

    seed: int
    sqnr_db: float  # of the logits
    agreement: float  # share of images with the float model's top-1


class Count(Record):
    """All draws of one number of images."""

    images: PositiveInt
    draws: tuple[Draw, ...]

    @property
    def mean_sqnr_db(self) -> float:
        """The mean over draws."""
        return sum(draw.sqnr_db for draw in self.draws) / len(self.draws)

    @property
    def mean_agreement(self) -> float:
        """The mean over draws."""
        return sum(draw.agreement for draw in self.draws) / len(self.draws)


class CalibrationStudy(Record):
    """The content of study.json."""

    schema_version: Literal[1] = 1
    model: str
    recipe: str
    dataset: str
    judged_on: PositiveInt  # images, set aside for calibration and in no draw
    counts: tuple[Count, ...]
    tolerance_db: NonNegativeFloat
    enough: PositiveInt | None  # None: only the largest number is as good as itself
