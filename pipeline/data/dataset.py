"""A data set: its classes, and its pictures in three disjoint roles."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from pipeline.data.images import Images
from pipeline.data.split import Role, Split
from pipeline.errors import DataError, listed

CALIBRATION_IMAGES = 2048
CALIBRATION_SHARE = 0.1
"""Training images set aside for calibration: at most this number, and this share of them."""

STORED_AS: Mapping[Role, tuple[str, ...]] = {
    "train": ("train", "training"),
    "calibration": ("calibration", "calib"),
    "evaluation": ("evaluation", "eval", "test", "val", "valid", "validation"),
}
"""Names of splits in data sets, by role; the first that exists is used."""


@dataclass(frozen=True)
class Dataset:
    """Classes, and stored splits that are opened when a role first needs them.

    Evaluation is the stored split of that role. Calibration is a stored split, or else a fixed stratified
    sample of the training images. Training is the rest. A picture is identified by the digest of its bytes.
    """

    location: str
    classes: tuple[str, ...]
    stored: Mapping[str, Callable[[], Images]]
    _opened: dict[str, Images] = field(default_factory=dict, repr=False, compare=False)
    _splits: dict[Role, Split] = field(default_factory=dict, repr=False, compare=False)

    def has(self, role: Role) -> bool:
        """Whether there are images for `role`; opens nothing."""
        return self._stored(role) is not None or (role == "calibration" and self.has("train"))

    def split(self, role: Role) -> Split:
        """Return the images for `role`; if not for evaluation, they are compared with the evaluation images.

        Raises DataError if there are none, or if some are also evaluation images.
        """
        if role not in self._splits:
            make = {"train": self._train, "calibration": self._calibration, "evaluation": self._evaluation}
            split = make[role]()
            if not len(split):
                raise DataError(self._nothing_for(role))
            if role != "evaluation" and self.has("evaluation"):
                _refuse_overlap(split, self.split("evaluation"))
            self._splits[role] = split
        return self._splits[role]

    def refuse_leak(self) -> None:
        """Raise DataError if any training images are also evaluation images."""
        if self._stored("train") is not None:
            _refuse_overlap(self._whole("train"), self.split("evaluation"))

    def training_digest(self) -> str:
        """Return the digest of all images stored for training; "none" if there are none."""
        return "none" if self._stored("train") is None else self._whole("train").digest

    def _evaluation(self) -> Split:
        return self._whole("evaluation")

    def _calibration(self) -> Split:
        if self._stored("calibration") is not None:
            return self._whole("calibration")
        whole = self._whole("train", for_role="calibration")
        count = min(CALIBRATION_IMAGES, max(1, round(CALIBRATION_SHARE * len(whole))))
        return whole.stratified(count)

    def _train(self) -> Split:
        whole = self._whole("train")
        taken = {sample.digest for sample in self.split("calibration").samples}
        return whole.subset([i for i, sample in enumerate(whole.samples) if sample.digest not in taken])

    def _nothing_for(self, role: Role) -> str:
        """Say why there are no images for a role that has a stored split."""
        if role == "train" and len(self._whole("train")):
            return (
                f"The few pictures to train with in {self.location} are all taken to calibrate with, by their"
                " content. Add some of each class."
            )
        return f"The {role} set of {self.location} is empty. Put images into it."

    def _whole(self, stored_role: Role, for_role: Role | None = None) -> Split:
        """Return everything stored for one role, for use in the role `for_role`."""
        name = self._stored(stored_role)
        if name is None:
            raise DataError(
                f"{self.location} has no images for {for_role or stored_role}: it has"
                f" {', '.join(self.stored)}. Add a split named {STORED_AS[stored_role][0]}."
            )
        if name not in self._opened:
            self._opened[name] = self.stored[name]()
        images = self._opened[name]
        if len(images.labels) and not 0 <= images.labels.min() <= images.labels.max() < len(self.classes):
            found = f"{images.labels.min()} to {images.labels.max()}"
            raise DataError(
                f"{self.location}: {name} labels run from {found}; there are {len(self.classes)} classes."
                " Correct the labels or the class names."
            )
        return Split(for_role or stored_role, self.classes, images, np.arange(len(images.labels)))

    def _stored(self, role: Role) -> str | None:
        return next((name for name in STORED_AS[role] if name in self.stored), None)


def _refuse_overlap(split: Split, evaluation: Split) -> None:
    """Raise DataError naming the samples of `split` whose content is also in `evaluation`."""
    both = set(split.digests).intersection(evaluation.digests)
    if both:
        evaluated = {sample.digest: sample.name for sample in evaluation.samples}
        shared = [sample for sample in split.samples if sample.digest in both]
        names = listed([f"{sample.name} = {evaluated[sample.digest]}" for sample in shared])
        raise DataError(
            f"{len(shared)} {split.role} images are also evaluation images, so the accuracy would be too"
            f" high: {names}. Remove them from one of the two."
        )
