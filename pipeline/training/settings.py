"""The settings of training runs."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TrainConfig(BaseModel):
    """All settings that decide the weights, apart from the machine. The defaults suit ResNet-20.

    For fewer than 20,000 images `suited` chooses the batch, the epochs, the rate and the start, unless given.

    The recipe: SGD with Nesterov momentum, the learning rate rising linearly to its peak and falling
    linearly to zero, label smoothing, random crops and flips, smaller images in the first epochs. To
    fine-tune: `initial`, `new_head` where the classes are others, `thaw`, and a lower peak_learning_rate.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = "resnet20-fashion"
    data: Path | None = None  # None: the model's own data set
    labels: str | None = None  # which column of a labels.csv; None: the first
    class_order: Literal["numbers", "text", "list", "imagenet"] | None = None  # where it is asked for
    initial: Path | None = None  # weights to start from; None: random ones
    weights: str | None = None  # which of its weights: ema, raw, or a place in it
    start: Literal["auto", "random"] = "auto"  # without `initial`: edgec's own weights for photos if they fit
    new_head: bool = False  # take all but the classifier from `initial`, whose classes may differ
    thaw: float = Field(
        default=0, ge=0, le=1
    )  # share of epochs in which stages are unfrozen one by one, the head first
    silent_branches: bool = False  # zero the last norm's scale in each block (Goyal et al. 2017, 5.1)
    images: int | None = Field(default=None, ge=2)  # images to train on, stratified by class; None: all
    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=2)  # batch normalisation needs two
    parts: int = Field(
        default=1, ge=1
    )  # virtual ranks: the parts of a batch, which torchrun's processes share
    peak_learning_rate: float = Field(default=0.25, gt=0)
    warm_up: float = Field(default=0.2, ge=0, lt=1)  # share of all steps
    drops: tuple[
        float, ...
    ] = ()  # shares of all steps where the rate falls to a tenth; (): it falls linearly
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = True
    weight_decay: float = Field(default=5e-4, ge=0)  # not on batch norm and biases
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    class_weights: Literal["equal", "balanced", "root"] = "equal"  # balanced: rare classes count 1/frequency
    crop_margin: float = Field(default=0.125, ge=0, le=0.5)  # share of the side an image may shift by
    flip: bool = True  # left to right
    zoom: float = Field(default=0, ge=0, lt=1)  # share of an image's area that may be cut away
    colour: float = Field(default=0, ge=0, lt=1)  # brightness, contrast, saturation: up to this share
    erase: float = Field(default=0, ge=0, le=1)  # share of images that lose a rectangle
    average: float = Field(default=0, ge=0, lt=1)  # decay, per step, of a running average of the weights
    small_epochs: float = Field(default=0.5, ge=0, le=1)  # share of epochs on smaller images
    small_scale: float = Field(default=0.75, gt=0, le=1)  # their side, relative to the full one
    watch: Literal["nothing", "held_out", "evaluation"] = "nothing"  # what to measure after each epoch
    watch_images: int | None = Field(default=None, ge=1)  # how many of the evaluation images; None: all
    hold_out: float = Field(default=0.1, gt=0, lt=1)  # share of the training images, where they are watched
    patience: int = Field(default=0, ge=0)  # epochs without a lower held-out loss, then stop; 0: never
    bf16: Literal["auto", "on", "off"] = "auto"  # auto: on where the processor has it
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: a GPU if there is one
    threads: int | None = Field(default=None, ge=1, le=1024)  # None: as many as cores are free

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.patience and self.watch != "held_out":
            raise ValueError(
                'patience needs watch = "held_out": stopping where the evaluation images do best would'
                " flatter the accuracy stated for them"
            )
        if self.new_head and self.initial is None:
            raise ValueError("new_head needs a checkpoint to take the other layers from (--checkpoint)")
        if any(not 0 < drop < 1 for drop in self.drops) or list(self.drops) != sorted(self.drops):
            raise ValueError("drops are shares of the run between 0 and 1, in order")
        return self


class QatConfig(BaseModel):
    """All settings of quantisation-aware fine-tuning, apart from the machine.

    It starts from the model quantised by `recipe`, with its ranges, and uses Adam with a cosine decay of the
    learning rates. Rates are in steps of the weights' grids, in mean biases, in logarithms of scales.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    model: str = "resnet20-fashion"
    data: Path | None = None  # None: the model's own data set
    labels: str | None = None  # which column of a labels.csv; None: the first
    class_order: Literal["numbers", "text", "list", "imagenet"] | None = None  # where it is asked for
    initial: Path | None = None  # the float weights to quantise; None: the model's own
    weights: str | None = None  # which of its weights: ema, raw, or a place in it
    recipe: str = "w8a8_asym_mse_bc"
    calibration_images: int = Field(default=512, ge=1)
    seed: int = Field(default=0, ge=0)
    epochs: int = Field(default=3, ge=1)
    batch_size: int = Field(default=64, ge=1)
    weight_rate: float = Field(default=0.03, gt=0)
    bias_rate: float = Field(default=5e-3, gt=0)
    scale_rate: float = Field(default=1e-3, gt=0)
    teacher: float = Field(default=0.5, ge=0, le=1)  # share of the loss that follows the float network
    crop_margin: float = Field(default=0.125, ge=0, le=0.5)  # share of the side an image may shift by
    flip: bool = True  # left to right
    threads: int | None = Field(default=None, ge=1, le=1024)  # None: as many as cores are free
