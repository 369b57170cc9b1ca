"""edgec calibrate: the files it writes, and the study of how many images are enough."""

import json
from pathlib import Path

import pytest

from calibration.lint import lint
from calibration.ranges import Ranges, model_digest
from calibration.recipe import Scheme
from pipeline.report.model.calibration_study import CalibrationStudy, Count, Draw
from pipeline.report.pages.study_page import conclusion, study_html
from tests.conftest import Edgec
from tests.pipeline.data.pictures import write_idx_set


@pytest.mark.parametrize("scheme", list(Scheme))
def test_it_writes_ranges_and_a_sound_graph_and_a_cache_where_tensorrt_can_use_one(
    scheme: Scheme, edgec: Edgec, quick: Path, warm_out: Path, tmp_path: Path
) -> None:
    done = edgec(
        "calibrate", "--config", quick, "--out", warm_out, "--recipe", scheme, "-o", tmp_path / "here"
    )
    assert done.returncode == 0, done.stderr
    ranges = Ranges.load(tmp_path / "here/ranges.json")
    assert (ranges.images, ranges.recipe) == (32, scheme)
    assert ranges.model == model_digest(tmp_path / "here/model.onnx")
    assert lint(tmp_path / "here/model.int8.onnx", scheme) == []
    assert (tmp_path / "here/calibration.cache").exists() is (scheme is Scheme.SYM)


def test_the_study_judges_on_images_of_no_draw_and_says_how_many_are_enough(
    edgec: Edgec, quick: Path, warm_out: Path, tmp_path: Path
) -> None:
    write_idx_set(tmp_path / "data", calibration=60, t10k=20)
    arguments = ["calibrate", "--study", "--draws", "2", "--config", quick, "--out", warm_out]
    arguments += ["--data", tmp_path / "data"]
    done = edgec(*arguments, "-o", tmp_path / "here", "--json")
    assert done.returncode == 0, done.stderr
    found = CalibrationStudy.model_validate_json(done.stdout)
    assert [(count.images, len(count.draws)) for count in found.counts] == [(8, 2), (16, 2), (32, 2)]
    assert all(10 < draw.sqnr_db < 60 for count in found.counts for draw in count.draws)
    assert json.loads((tmp_path / "here/study.json").read_text()) == json.loads(done.stdout)
    page = (tmp_path / "here/study.html").read_text()
    assert conclusion(found) in page
    again = edgec(*arguments, "-o", tmp_path / "there", "--json")
    assert again.stdout == done.stdout
    assert "study" not in again.stderr


def _study(enough: int | None) -> CalibrationStudy:
    counts = tuple(
        Count(
            images=n,
            draws=tuple(Draw(seed=s, sqnr_db=30 - 8 / n + s, agreement=0.99) for s in (0, 1)),
        )
        for n in (8, 16)
    )
    return CalibrationStudy(
        model="m",
        recipe="w8a8_asym",
        dataset="<b>",
        judged_on=40,
        counts=counts,
        tolerance_db=0.25,
        enough=enough,
    )


def test_the_page_shows_every_draw_and_escapes_names() -> None:
    page = study_html(_study(8))
    assert page.count('class="dot int8"') == 2 * 4
    assert "&lt;b&gt;" in page
    assert "8 images are enough" in page


def test_without_an_answer_it_says_so() -> None:
    assert "Try more" in conclusion(_study(None))
