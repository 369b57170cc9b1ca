import struct
from pathlib import Path

import numpy as np
import pytest

from calibration.errors import RangesError
from calibration.observers import Range
from calibration.ranges import Ranges
from calibration.tensorrt_cache import save_calibration_cache


def test_each_tensor_has_its_scale_as_a_big_endian_float(tmp_path: Path) -> None:
    ranges = Ranges("ab" * 32, "w8a8_sym", 512, {"/Relu_output_0": Range(0, 127), "x:y": Range(-2.54, 1)})
    save_calibration_cache(ranges, tmp_path / "calibration.cache")
    first, one, two = (tmp_path / "calibration.cache").read_text().splitlines()
    assert first == "TRT-8502-EntropyCalibration2"
    assert one == "/Relu_output_0: 3f800000"
    name, digits = two.rsplit(": ", 1)
    assert name == "x:y"
    assert struct.unpack(">f", bytes.fromhex(digits))[0] == np.float32(0.02)


def test_ranges_that_are_not_symmetric_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RangesError, match="Calibrate with w8a8_sym"):
        save_calibration_cache(Ranges("ab" * 32, "w8a8_asym_mse", 1, {"x": Range(0, 1)}), tmp_path / "c")


def test_a_tensor_in_fp16_has_no_line(tmp_path: Path) -> None:
    ranges = Ranges("ab" * 32, "w8a8_sym_wide", 1, {"x": Range(0, 1), "y": Range(0, 2)}, wide=("x",))
    save_calibration_cache(ranges, tmp_path / "calibration.cache")
    lines = (tmp_path / "calibration.cache").read_text().splitlines()
    assert [line.split(":")[0] for line in lines[1:]] == ["y"]
