"""Classifies images with a user's ONNX file, in the described input form or in another one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.diagnosis.trial import Answers, Pixels
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.input_form import InputForm


def foreign_answers(model: ForeignModel) -> Callable[[InputForm | None, Pixels], Answers]:
    """Return a function that classifies images with the user's file, in a given input form."""
    from pipeline.models.foreign.original import Original

    def answers(form: InputForm | None, pixels: Pixels) -> Answers:
        described = model
        if form is not None:
            described = replace(model, mean=form.mean, std=form.std, colors=form.colors)
        original = Original(described)
        return np.array([int(original.infer(image).argmax()) for image in pixels], np.int64)

    return answers
