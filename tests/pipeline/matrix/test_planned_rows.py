"""Which rows a matrix has, and which files of a matrix are refused before any work."""

from pathlib import Path

import pytest

from calibration.errors import CalibrationError
from pipeline.errors import PipelineError, UsageError
from pipeline.matrix.matrix_config import load_matrix
from pipeline.matrix.planned_rows import PlannedRow, only, planned_rows
from targets.errors import TargetError

BASE = """models = ["resnet20-fashion", "resnet20-cifar10"]
targets = ["host", "rpi5"]
recipes = ["default", "w8a8_sym_minmax"]
"""


def rows_of(folder: Path, text: str) -> list[PlannedRow]:
    file = folder / "matrix.toml"
    file.write_text(text)
    return planned_rows(load_matrix(file, None), file)


def names_of(folder: Path, text: str) -> list[str]:
    return [row.name for row in rows_of(folder, text)]


def test_every_combination_is_a_row_and_each_has_a_name_of_its_own(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, BASE)
    assert len({row.name for row in rows}) == len(rows) == 8
    axes = {(row.config.model, row.config.target, row.config.calibration.recipe) for row in rows}
    assert len(axes) == 8
    assert ("resnet20-fashion", "rpi5", None) in axes
    assert "resnet20-cifar10-host-w8a8_sym_minmax" in {row.name for row in rows}


def test_rows_that_share_calibration_come_one_after_the_other(tmp_path: Path) -> None:
    shared = [(row.model, row.recipe) for row in rows_of(tmp_path, BASE)]
    assert shared == sorted(shared, key=list(dict.fromkeys(shared)).index)


def test_a_table_gives_a_model_settings_of_its_own_over_those_of_all(tmp_path: Path) -> None:
    first, second = rows_of(
        tmp_path,
        'targets = ["host"]\n[models.plain]\nmodel = "resnet20-fashion"\n'
        '[models.own]\nmodel = "own.onnx"\ndata = "photos"\n[models.own.validation]\nmax_drop = 2.0\n'
        "[build.validation]\nimages = 300\nmax_drop = 0.5\n",
    )
    assert (first.name, first.config.validation.max_drop) == ("plain-host", 0.5)
    assert (second.name, second.config.validation.max_drop) == ("own-host", 2.0)
    assert first.config.validation.images == second.config.validation.images == 300
    assert second.config.model == str(tmp_path / "own.onnx")
    assert second.config.data == tmp_path / "photos"
    assert first.config.out == second.config.out == Path("out")


def test_devices_in_a_table_are_those_of_their_targets(tmp_path: Path) -> None:
    text = (
        BASE.replace("w8a8_sym_minmax", "auto") + '[devices]\n"ssh://pi@a" = ["rpi5"]\n"ssh://b" = ["rpi5"]\n'
    )
    rows = [row for row in rows_of(tmp_path, text) if (row.model, row.recipe) == ("resnet20-fashion", "auto")]
    assert [(row.target, row.device) for row in rows] == [
        ("host", "none"),
        ("rpi5", "ssh://pi@a"),
        ("rpi5", "ssh://b"),
    ]
    assert rows[1].name == "resnet20-fashion-rpi5-auto@pi-a"
    assert [row.config.device for row in rows] == [None, "ssh://pi@a", "ssh://b"]


def test_devices_in_a_list_are_for_all_targets_that_are_reached(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, BASE + 'devices = ["none", "ssh://b"]\n')
    assert {(row.target, row.device) for row in rows} == {
        ("host", "none"),
        ("host", "ssh://b"),
        ("rpi5", "none"),
        ("rpi5", "ssh://b"),
    } - {("host", "ssh://b")}


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ('[[exclude]]\ntarget = "rpi5"\n', 4),
        ('[[exclude]]\ntarget = "rpi5"\nmodel = "*cifar10"\n', 6),
        ('[[include]]\nmodel = "*fashion"\n', 4),
        ('[[include]]\nmodel = "*fashion"\n[[include]]\ntarget = "host"\n', 6),
        ('[[include]]\nmodel = "*fashion"\n[[exclude]]\nrecipe = ["default", "auto"]\n', 2),
    ],
)
def test_rows_match_one_include_and_no_exclude(filters: str, left: int, tmp_path: Path) -> None:
    assert len(names_of(tmp_path, BASE + filters)) == left


def test_only_narrows_by_axis_and_widens_within_one(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, BASE)
    assert len(only(rows, [])) == 8
    assert len(only(rows, ["model=*fashion"])) == 4
    assert len(only(rows, ["model=*fashion", "model=*10"])) == 8
    assert [row.name for row in only(rows, ["model=*fashion", "target=host", "recipe=default"])] == [
        "resnet20-fashion-host"
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["modle=x"], "Did you mean 'model'?"),
        (["host"], "Write AXIS=PATTERN"),
        (["target="], "Write AXIS=PATTERN"),
        (["target=hots"], "Did you mean 'host'?"),
        (["device=pi*"], "There are: none"),
    ],
)
def test_an_only_that_fits_nothing_says_what_there_is(asked: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        only(rows_of(tmp_path, BASE), asked)
    assert said in str(refused.value)


def test_only_whose_axes_exclude_each_other_says_so(tmp_path: Path) -> None:
    rows = [row for row in rows_of(tmp_path, BASE) if (row.target == "host") == (row.recipe == "default")]
    with pytest.raises(UsageError, match="No row matches all --only filters"):
        only(rows, ["target=host", "recipe=w8*"])


WRONG = [
    ("models = []\ntargets = ['host']", "models names none"),
    ("models = ['resnet20-fashion']", "targets"),
    ("models = ['resnet20-fashion']\ntargets = []", "targets is []"),
    ("models = ['resnet20-fashon']\ntargets = ['host']", "Did you mean 'resnet20-fashion'?"),
    (BASE.replace("rpi5", "rpi55"), "Did you mean 'rpi5'?"),
    (BASE.replace("w8a8_sym_minmax", "w8a8_sim"), "w8a8_sim"),
    (BASE + "devices = ['nobody']", "Unknown device 'nobody'"),
    (BASE + "[devices]\n'ssh://b' = ['jetson']", "which is not a target here"),
    (BASE + "recipe = 'x'", "recipe is unknown. Did you mean 'recipes'?"),
    (BASE + "[[exclude]]\ntarget = 'rpi4'", "exclude 1 (target = 'rpi4') matches no row"),
    (BASE + "[[include]]\ntraget = 'rpi5'", "traget is unknown"),
    (BASE + "[[exclude]]\n", "leave no row of 8"),
    (BASE + "[build]\ntarget = 'host'", "targets at the top"),
    (BASE + "[build]\nout = 'x'", "out at the top"),
    (BASE + "[build.validation]\nimage = 3", "validation.image is unknown. Did you mean 'images'?"),
    (BASE + "[build.latency]\nthreads = 0", "latency.threads is 0"),
    (BASE + "[[budgets]]\nname = 'all'", "a budget needs p50_ms"),
    (BASE + "[[budgets]]\nname = 'all'\np50_ms = -1.0", "p50_ms"),
    (BASE + "[[budgets]]\nname='a'\np50_ms=1.0\n[[budgets]]\nname='a'\nengine_kib=1.0", "two budgets"),
    ("models = ['a/x.onnx', 'b/x.onnx']\ntargets = ['host']", "two models are called x"),
    ("targets = ['host']\n[models.'a b']\nmodel='resnet20-fashion'\n[models.a-b]\nmodel='resnet20-fashion'",
     "two rows are called a-b-host"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_file_is_refused_before_any_work(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises((PipelineError, TargetError, CalibrationError)) as refused:
        rows_of(tmp_path, text)
    assert said in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["matrix.toml"]
