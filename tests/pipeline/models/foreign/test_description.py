"""The description beside an ONNX file is read, and refused where it does not fit the graph."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CheckpointError, DataError, UsageError
from pipeline.models.foreign.description import read_foreign
from tests.pipeline.models.foreign.networks import export, make
from tests.pipeline.models.foreign.plain_networks import VggLike


def test_the_description_is_read_from_beside_the_model(tmp_path: Path) -> None:
    path = export(make(VggLike), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(
        'mean = [0.5]\nstd = [0.25]\nfit = "stretch"\nlabels = "names.txt"\nsize = [32, 32]\nchannels = 3\n'
    )
    (tmp_path / "names.txt").write_text("".join(f"class {n}\n" for n in range(10)))
    model = read_foreign(path)
    assert model.mean == (0.5,) * 3
    assert model.labels is not None
    assert model.labels[9] == "class 9"
    assert model.input_shape == (32, 32, 3)
    assert model.preprocessing.fit == "stretch"


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("sise = [1, 2]", UsageError, "sise is unknown. Did you mean 'size'"),
        ('layout = "NHWC"', UsageError, "that would be 32 channels"),
        ("mean = [1.0, 2.0]", UsageError, "mean has 2 values for 3 channels"),
        ("std = [0.0]", UsageError, "all values have to be positive"),
        ('labels = ["a", "b", "a"]', DataError, "contain 'a' twice"),
        ('labels = "none.txt"', CheckpointError, "cannot be read"),
        ("resize = 8", UsageError, "smaller than the crop"),
        ("resize = 0", UsageError, 'the shorter side in pixels, or "auto"'),
        ('resize = "none"', UsageError, 'the shorter side in pixels, or "auto"'),
    ],
)
def test_a_description_that_does_not_fit_is_refused(
    text: str, error: type[Exception], told: str, tmp_path: Path
) -> None:
    path = export(make(VggLike), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(text)
    with pytest.raises(error, match=told):
        read_foreign(path)


@pytest.mark.parametrize("text", ["", 'fit = "crop"', 'resize = "auto"'])
def test_pictures_of_the_networks_size_are_not_touched_unless_resize_says_so(
    text: str, tmp_path: Path
) -> None:
    path = export(make(VggLike), tmp_path / "net.onnx")
    (tmp_path / "net.toml").write_text(text)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert np.array_equal(read_foreign(path).preprocessing(picture), picture)
    (tmp_path / "net.toml").write_text("resize = 37")
    assert not np.array_equal(read_foreign(path).preprocessing(picture), picture)


def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x01nonsense")
    with pytest.raises(CheckpointError, match="is not a valid ONNX model"):
        read_foreign(tmp_path / "net.onnx")
    with pytest.raises(CheckpointError, match="There is no ONNX file"):
        read_foreign(tmp_path / "missing.onnx")
