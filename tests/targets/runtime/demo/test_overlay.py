"""The drawing into a picture, and its time."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.runtime.demo import overlay
from targets.runtime.demo.overlay import Overlay, draw

PICTURE = np.full((720, 1280, 3), 90, np.uint8)
CLASSES = [("Bag", 0.75)]


def test_it_is_drawn_when_somebody_looks_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than a small model, so pictures without a viewer are not drawn."""
    drawn: list[Sequence[str]] = []

    def counted(
        image: NDArray[np.uint8], classes: Sequence[tuple[str, float]], lines: Sequence[str]
    ) -> NDArray[np.uint8]:
        drawn.append(lines)
        return draw(image, classes, lines)

    monkeypatch.setattr(overlay, "draw", counted)
    made = Overlay(PICTURE, CLASSES, ["INT8"])
    assert drawn == []
    assert (made.drawn == draw(PICTURE, CLASSES, ["INT8"])).all()
    assert made.drawn is made.drawn
    assert drawn == [["INT8"]]


def test_the_picture_itself_stays_as_it_was() -> None:
    small = PICTURE[:240, :320].copy()
    draw(small, CLASSES, ["INT8"])
    assert (small == 90).all()


def test_a_large_picture_is_shown_smaller_in_its_shape() -> None:
    assert draw(PICTURE, CLASSES, []).shape == (540, 960, 3)
