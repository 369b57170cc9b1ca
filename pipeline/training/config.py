"""What can be chosen about a training run."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainConfig(BaseModel):
    """Everything that decides the weights, apart from the machine. The defaults train ResNet-20 well.

    The recipe: SGD with Nesterov momentum, the learning rate rising linearly to its peak and falling
    linearly to zero, label smoothing, random crops and flips, smaller images in the first epochs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = "resnet20-fashion"
    data: Path | None = None  # None: the model's own data set
    labels: str | None = None  # which column of a labels.csv; None: the first
    initial: Path | None = None  # weights to start from; None: random ones
    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=2)  # batch normalisation needs two
    peak_learning_rate: float = Field(default=0.25, gt=0)
    warm_up: float = Field(default=0.2, ge=0, lt=1)  # share of all steps
    momentum: float = Field(default=0.9, ge=0, lt=1)
    weight_decay: float = Field(default=5e-4, ge=0)  # not on batch norm and biases
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    crop_margin: float = Field(default=0.125, ge=0, le=0.5)  # share of the side an image may shift by
    flip: bool = True  # left to right
    small_epochs: float = Field(default=0.5, ge=0, le=1)  # share of epochs on smaller images
    small_scale: float = Field(default=0.75, gt=0, le=1)  # their side, relative to the full one
    bf16: Literal["auto", "on", "off"] = "auto"  # auto: whichever a few steps show to be faster
    threads: int | None = Field(default=None, ge=1, le=1024)  # None: torch's choice
