"""Methods that another Python runs: each has its tool there, and LiteRT's files are run by LiteRT."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np

from benchmarks.calibration_methods import ELSEWHERE, methods
from benchmarks.drawn_network import DrawnNetwork
from benchmarks.peers.calibrate_elsewhere import PACKAGES, TOOLS

PRETENDED = """#!{python}
import sys, numpy as np
script, words, *files = sys.argv[1:]
if words == "version":
    print("1.0")
elif words == "answers":  # as many classes as the images have channels
    np.save(files[2], np.moveaxis(np.load(files[1]).astype(np.float32), -1, 1))
"""


def test_every_method_has_a_tool_and_its_package() -> None:
    tools = {words.partition("-")[0] for words in ELSEWHERE.values()}
    assert tools == set(TOOLS) == set(PACKAGES)


def test_the_answers_to_a_tflite_file_are_those_of_its_own_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(PRETENDED.format(python=sys.executable))
    python.chmod(0o755)
    [found] = [made for made in methods({"litert": python}, ()) if made.name.startswith("LiteRT")]
    images = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3)
    draw = cast("DrawnNetwork", SimpleNamespace(evaluation=lambda: iter([images[:1], images[1:]])))
    answers = found.answers(draw, tmp_path / "peer.tflite")
    np.testing.assert_array_equal(answers, images.reshape(-1, 3))
