"""Names of classes in the picture: umlauts and accents are drawn, with the letters of OpenCV 4 too."""

import numpy as np
import pytest
from numpy.typing import NDArray

from targets.runtime.demo.lettering import HAS_ALL_LETTERS, in_ascii, write
from targets.runtime.demo.overlay import draw


def written(text: str, all_letters: bool) -> NDArray[np.uint8]:
    image = np.zeros((80, 500, 3), np.uint8)
    write(image, text, 10, 50, 1.0, all_letters)
    return image


def test_letters_of_ascii_stay_and_others_keep_their_base_letter() -> None:
    assert in_ascii("Apfel 12 %") == ("Apfel 12 %", [])
    assert in_ascii("Äpfel") == ("Apfel", [(0, "\u0308")])
    assert in_ascii("A\u0308pfel") == in_ascii("Äpfel")  # as macOS writes the names of files
    assert in_ascii("größer") == ("grosser", [(2, "\u0308")])
    assert in_ascii("crème brûlée")[0] == "creme brulee"
    assert in_ascii("Żółw, čaj, piñata, smørbrød")[0] == "Zolw, caj, pinata, smorbrod"
    assert in_ascii("“größe” – l’eau…")[0] == '"grosse" - l\'eau...'
    assert in_ascii("日本")[0] == "??"


@pytest.mark.parametrize("letter", "ÄÖÜäöüÅåéèêñčżőăāç" + "ęș")
def test_an_accent_is_drawn_at_its_letter_and_leaves_the_letters_alone(letter: str) -> None:
    plain = written(f"{in_ascii(letter)[0]}pfel", all_letters=False)
    accented = written(f"{letter}pfel", all_letters=False)
    (changed_rows, changed_columns) = np.nonzero((plain != accented).any(axis=2))
    assert len(changed_rows) > 0
    assert (accented >= plain).all()
    assert changed_columns.max() < 40  # within the first letter
    below = in_ascii(letter)[1][0].character in "\u0326\u0327\u0328"
    assert (changed_rows.min() >= 49) if below else (changed_rows.max() < 42)


@pytest.mark.skipif(not HAS_ALL_LETTERS, reason="OpenCV 4: it has the letters of ASCII alone")
def test_opencv_5_writes_all_itself() -> None:
    assert (written("日本", True) != written("??", True)).any()
    assert (written("Äpfel", True) != written("?pfel", True)).any()


def test_the_picture_shows_the_name_as_it_is() -> None:
    """No question mark takes the place of a letter."""
    image = np.full((240, 320, 3), 128, np.uint8)
    umlaut, question = (draw(image, [(name, 0.9)], []) for name in ("Äpfel", "?pfel"))
    assert (umlaut != question).any()
    assert (draw(image, [("Apfel", 0.9)], []) != umlaut).any()
