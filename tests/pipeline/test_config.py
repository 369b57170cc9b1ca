"""One TOML file configures a build; mistakes in it are named."""

import json
import os
from pathlib import Path

import pytest

from pipeline.config import BuildConfig, load_config, recorded
from pipeline.errors import UsageError


def written(folder: Path, text: str) -> Path:
    path = folder / "edgec.toml"
    path.write_text(text)
    return path


def test_without_a_file_the_defaults_build_the_embedded_model() -> None:
    config = load_config(BuildConfig, None, {})
    assert (config.model, config.target, config.calibration.images) == ("resnet20-fashion", "host", 512)


def test_options_take_precedence_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, 'model = "resnet18"\n[calibration]\nimages = 7\nrecipe = "w8a8_sym"\n')
    config = load_config(
        BuildConfig, file, {"model": "resnet50", "calibration.recipe": "w8a8_asym", "data": None}
    )
    assert (config.model, config.calibration.recipe, config.calibration.images) == (
        "resnet50",
        "w8a8_asym",
        7,
    )


def test_paths_in_a_file_are_relative_to_it(tmp_path: Path) -> None:
    file = written(tmp_path, 'data = "photos"\ncheckpoint = "/weights.pth"')
    config = load_config(BuildConfig, file, {})
    assert config.data == tmp_path / "photos"
    assert config.checkpoint == Path("/weights.pth")


def test_a_named_data_set_in_a_file_is_not_a_path_unless_there_is_such_a_folder(tmp_path: Path) -> None:
    file = written(tmp_path, 'data = "fashion-mnist"')
    assert load_config(BuildConfig, file, {}).data == Path("fashion-mnist")
    (tmp_path / "fashion-mnist").mkdir()
    assert load_config(BuildConfig, file, {}).data == tmp_path / "fashion-mnist"


def test_a_tilde_is_the_home_folder(tmp_path: Path) -> None:
    file = written(tmp_path, 'data = "~/photos"')
    config = load_config(BuildConfig, file, {"checkpoint": Path("~/a.pth"), "out": Path("~nobody-here/x")})
    assert (config.data, config.checkpoint) == (Path.home() / "photos", Path.home() / "a.pth")
    assert config.out == Path("~nobody-here/x")


def test_an_option_cannot_go_into_a_key_that_is_not_a_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"calibration is 3: expected a table \[calibration\]"):
        load_config(BuildConfig, written(tmp_path, "calibration = 3"), {"calibration.recipe": "w8a8_sym"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle = 'x'", "modle is unknown. Did you mean 'model'?"),
        ("[calibration]\nimage = 3", "calibration.image is unknown. Did you mean 'images'?"),
        ("[calibration]\nimages = 0", "calibration.images is 0: input should be greater than or equal to 1"),
        ("[latency]\nthreads = 'many'", "latency.threads is 'many'"),
        ("calibration = 3", "calibration is 3: expected a table [calibration]"),
        ("[validation]\nmax_drop = inf", "validation.max_drop is inf"),
        ("[latency]\nseconds = nan", "latency.seconds is nan"),
        ("[latency]\nthreads = 1_000_000", "latency.threads is 1000000"),
        ("[calibration]\nseed = 1_000_000_000_000_000_000_000", "calibration.seed is"),
        ("model = ", "is not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError) as error:
        load_config(BuildConfig, written(tmp_path, text), {})
    assert message in str(error.value)
    assert "edgec.toml" in str(error.value)


def test_a_folder_whose_path_is_not_utf_8_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Path(os.fsdecode(b"o\xff"))
    with pytest.raises(UsageError, match=r"out is .*a path in utf-8"):
        load_config(BuildConfig, None, {"out": broken})
    (tmp_path / broken).mkdir()
    monkeypatch.chdir(tmp_path / broken)
    with pytest.raises(UsageError, match="choose another folder"):
        load_config(BuildConfig, None, {})
    advised = load_config(BuildConfig, None, {"out": tmp_path / "out"})
    assert advised.out == tmp_path / "out"


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        load_config(BuildConfig, written(tmp_path, "modle = 'x'\nfarget = 'y'"), {})
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(("count", "lines"), [(25, 21), (2000, 1)])
def test_of_many_mistakes_some_are_named_and_the_rest_counted(tmp_path: Path, count: int, lines: int) -> None:
    file = tmp_path / "edgec.toml"
    file.write_text("\n".join(f"k{n} = 1" for n in range(count)))
    with pytest.raises(UsageError) as refused:
        load_config(BuildConfig, file, {})
    said = str(refused.value).splitlines()
    assert len(said) == lines
    assert ("... and 5 more." if count == 25 else "2,000 of its values are not allowed") in said[-1]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(BuildConfig, tmp_path / "none.toml", {})


def test_what_is_recorded_gives_the_same_build_and_no_folder_of_this_machine() -> None:
    config = load_config(
        BuildConfig,
        None,
        {
            "model": "/home/me/net.onnx",
            "data": Path("/home/me/photos"),
            "calibration.quantized": Path("/home/me/qat.onnx"),
            "out": Path("/home/me/out"),
        },
    )
    text = recorded(config, "w8a8_sym_mse")
    assert "/home" not in text
    found = load_config(BuildConfig, None, json.loads(text))
    assert (found.model, found.calibration.recipe) == ("net.onnx", "w8a8_sym_mse")
    assert (found.validation, found.latency, found.export) == (
        config.validation,
        config.latency,
        config.export,
    )
