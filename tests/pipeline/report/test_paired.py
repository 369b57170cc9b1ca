import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ReportError
from pipeline.report.paired import pack_bits, paired_images, paired_rate, unpack_bits


@given(st.lists(st.booleans(), min_size=1))
def test_bits_survive_packing(right: list[bool]) -> None:
    assert unpack_bits(pack_bits(np.array(right)), len(right)).tolist() == right


def test_bits_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ReportError, match="a report has 16 bits for 17 images"):
        unpack_bits(pack_bits(np.ones(16, bool)), 17)
    with pytest.raises(ReportError, match="not base64"):
        unpack_bits("A", 8)


def test_counts_are_those_of_the_images() -> None:
    before, after = np.array([1, 1, 1, 0, 0], bool), np.array([1, 0, 0, 1, 0], bool)
    found = paired_images(before, after)
    assert (found.images, found.fp32_correct, found.int8_correct) == (5, 3, 2)
    assert (found.worse, found.better, found.drop_points) == (2, 1, 20.0)
    assert found == paired_rate(np.array([[1, 1], [2, 1]]))


def test_comparing_needs_no_image_library() -> None:
    code = "import sys, pipeline.report.comparison; print('cv2' in sys.modules or 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
