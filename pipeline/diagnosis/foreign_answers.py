"""Classifies images, or their pixels, with a user's ONNX file, in the described input form or another one."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline.diagnosis.examples import Answers, Pixels
from pipeline.models.foreign.description import ForeignModel
from pipeline.models.input_form import InputForm
from pipeline.task import Task


def foreign_answers(model: ForeignModel) -> Callable[[InputForm | None, Pixels], Answers]:
    """Return a function that gives the classes that the user's file finds, in a given input form."""
    from pipeline.models.foreign.original import Original

    def answers(form: InputForm | None, pixels: Pixels) -> Answers:
        described = model
        if form is not None:
            described = replace(model, mean=form.mean, std=form.std, colors=form.colors)
        original = Original(described)
        if model.task is Task.SEGMENT:
            return np.stack([original.infer(image).argmax(0) for image in pixels])
        # of probabilities, since one output may stand for two classes
        return np.array([int(original.probabilities(image).argmax()) for image in pixels], np.int64)

    return answers
