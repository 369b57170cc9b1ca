"""What gates, studies and records in a report advise to do next, and that doing it decides or passes."""

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from calibration.explore.image_count import ENOUGH_DB, Design, Pool, enough, study
from calibration.recipe import QuantRecipe
from pipeline.cache.digest import InputFile
from pipeline.config import BuildConfig, load_config
from pipeline.progress import Silent
from pipeline.report import mixed_words
from pipeline.report.baseline import baseline_of
from pipeline.report.comparison import compare
from pipeline.report.gates import floor_gate
from pipeline.report.image_tally import AccuracyTally
from pipeline.report.model.build_report import Report
from pipeline.report.model.calibration_study import CalibrationStudy, Count, Draw
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.float_layers import MixedPrecision
from pipeline.report.model.gate import Gate
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.sustained_run import SustainedRun
from pipeline.report.model_card import card_markdown
from pipeline.report.next_steps import with_next_step
from pipeline.report.pages.study_page import conclusion
from pipeline.report.plausibility import plausibility_gate
from pipeline.report.stats import difference_interval
from pipeline.report.sustained_gate import sustained_gates
from pipeline.stages.read_soak import ReadSoak
from targets.base import Origin
from targets.runtime.run import COMMANDS
from targets.runtime.sustained.soak import Soaked
from tests.calibration.conftest import pictures as random_pictures
from tests.calibration.residual_networks import TinyResNet, export
from tests.pipeline.diagnosis.colours import COLOURS
from tests.pipeline.diagnosis.colours import pictures as coloured
from tests.pipeline.report.samples import report


@cache
def trained(epochs: int) -> Accuracy:
    """Train a classifier of mean colours, and judge it on other pictures. INT8 is FP32."""
    means, labels = [], []
    for seed in (0, 1):
        shown = coloured(20, seed)
        means.append(np.stack([one.mean((0, 1)) for made in shown.values() for one in made]) / 255)
        labels.append(np.repeat(np.arange(len(shown)), 20))
    x, y = torch.tensor(means[0], dtype=torch.float32), torch.tensor(labels[0])
    torch.manual_seed(0)
    network = torch.nn.Linear(3, len(COLOURS))
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x), y)
        torch.autograd.backward(loss)
        optimizer.step()
    with torch.no_grad():
        logits = network(torch.tensor(means[1], dtype=torch.float32)).numpy()
    return tallied(logits, labels[1])


def tallied(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Accuracy:
    tally = AccuracyTally(logits.shape[1])
    shown = np.zeros((len(labels), 4, 4, 1), np.uint8)
    tally.add(logits, logits, labels.astype(np.int64), shown, [str(n) for n in range(len(labels))])
    return tally.accuracy(Origin.HOST, Origin.HOST)


def test_training_longer_helps_where_fp32_itself_is_below_the_limit() -> None:
    def judged(accuracy: Accuracy) -> Gate:
        return with_next_step(floor_gate(accuracy.top1, 80.0, Origin.HOST), accuracy, None)

    before = judged(trained(2))
    assert before.verdict is Verdict.FAIL
    assert ": train longer or on more images; no quantisation corrects that." in before.next_step
    assert judged(trained(300)).verdict is Verdict.PASS


def test_images_of_other_classes_show_that_a_network_is_no_guess() -> None:
    labels = np.repeat(np.arange(4), 20)
    logits = np.eye(4, dtype=np.float32)[labels]
    one, all_of_them = tallied(logits[:20], labels[:20]), tallied(logits, labels)
    (before, after) = (plausibility_gate(found) for found in (one, all_of_them))
    assert before is not None
    assert after is not None
    assert before.verdict is Verdict.MEANINGLESS
    assert with_next_step(before, one, None).next_step == "Add evaluation images of other classes."
    assert after.verdict is Verdict.PASS


def test_what_moved_is_shown_and_a_new_baseline_accepts_it() -> None:
    before = report()
    grown = before.replace(sizes=before.sizes.replace(engine=400_000), tools={**before.tools, "tvm": "0.99"})
    found = compare(baseline_of(before), grown)
    (gate,) = (one for one in found.gates if one.verdict is Verdict.FAIL)
    words = "Another recipe, network or compiler made the engine larger: see what moved; "
    assert gate.next_step == f"{words}if this is what you want, `edgec baseline save`."
    assert {"tvm"} <= {one.name for one in found.moved}
    assert compare(baseline_of(grown), grown).verdict is Verdict.PASS


SOAKED = Soaked(600.0, 9000, 15.0, (5.0, 4.9, 5.2), None, None, {}, None, "no sensor", "ab" * 32)
BUILT: Any = SimpleNamespace(file_digest="ab" * 32)


def sustained(folder: Path, record: Soaked) -> SustainedRun:
    """Read the record that a settings file names, as a build does."""
    (folder / "soak.json").write_text(json.dumps(asdict(record)))
    (folder / "edgec.toml").write_text(f'soak = "{folder}/soak.json"\n')
    config = load_config(BuildConfig, folder / "edgec.toml", {})
    assert config.soak is not None
    ReadSoak(InputFile(config.soak, "soak.json"), BUILT).run(folder, Silent())
    return SustainedRun.model_validate_json((folder / "sustained.json").read_text())


def test_a_soak_decides_what_a_device_sustains(tmp_path: Path) -> None:
    (gate,) = sustained_gates(5.3, None, Origin.DEVICE)
    assert gate.verdict is Verdict.INCONCLUSIVE
    words = "Run `./run soak` on the device, and give its soak.json with soak = under the top-level settings."
    assert gate.next_step == words
    assert "soak" in COMMANDS
    (gate,) = sustained_gates(5.3, sustained(tmp_path, SOAKED), Origin.DEVICE)
    assert (gate.verdict, gate.next_step) == (Verdict.PASS, "")


def test_cooling_or_another_power_mode_makes_a_device_sustain_more(tmp_path: Path) -> None:
    (gate,) = sustained_gates(4.5, sustained(tmp_path, SOAKED), Origin.DEVICE)
    assert gate.verdict is Verdict.FAIL
    assert gate.next_step == "Cool the device, or choose another power mode: `./run power-modes`."
    assert "power-modes" in COMMANDS
    cooled = replace(SOAKED, sustained_p90_ms=(4.2, 4.1, 4.4))
    (gate,) = sustained_gates(4.5, sustained(tmp_path, cooled), Origin.DEVICE)
    assert gate.verdict is Verdict.PASS


def studied(folder: Path, counts: tuple[int, ...]) -> CalibrationStudy:
    """Quantise a small network with so many images, in three draws each."""
    model = export(TinyResNet(), folder / "model.onnx").path
    images, others = random_pictures(64, (16, 16, 3)), random_pictures(24, (16, 16, 3), seed=1)
    pool = Pool(len(images), lambda chosen: [images[list(chosen)]])
    recipe = QuantRecipe.parse("w8a8_asym_minmax")
    points = study(model, recipe, pool, lambda: [others], folder, Design(counts, (0, 1, 2)))
    found = tuple(
        Count(
            images=point.images,
            draws=tuple(
                Draw(seed=seed, sqnr_db=draw.sqnr_db, agreement=draw.agreement)
                for seed, draw in enumerate(point.draws)
            ),
        )
        for point in points
    )
    told: dict[str, Any] = {"model": "m", "recipe": recipe.name, "dataset": "d", "judged_on": len(others)}
    return CalibrationStudy(**told, counts=found, tolerance_db=ENOUGH_DB, enough=enough(points))


def test_more_images_than_were_tried_are_enough(tmp_path: Path) -> None:
    few = conclusion(studied(tmp_path, (1, 2)))
    assert few == (
        "No number below 2 images is enough: some draw of each is more than 0.25 dB worse than the mean of 2."
        " Try more."
    )
    assert " images are enough: " in conclusion(studied(tmp_path, (1, 2, 60, 63, 64)))


def mixed(images: int, limit: float) -> MixedPrecision:
    """What is recorded where a network in float and in INT8 gives the same answers."""
    found = difference_interval(0, 0, images)
    assert found.high is not None
    interval = Interval(low=100 * found.low, high=100 * found.high, level=found.level)
    return MixedPrecision(
        max_drop_points=limit,
        precision="fp32",
        images=images,
        images_digest="ab" * 32,
        layers=(),
        drop=interval,
        all_int8=interval,
        all_float=interval,
        passes=100 * found.high <= limit,
    )


@pytest.mark.parametrize(("images", "limit"), [(2000, 1.0), (40, 10.0)])
def test_more_images_or_a_higher_limit_show_that_a_drop_is_within_it(images: int, limit: float) -> None:
    said = mixed_words.conclusion(mixed(40, 1.0))
    words = " All layers stay in INT8. Set aside more images for calibration, or raise calibration.max_drop."
    assert said.endswith(words)
    assert "keep the drop within" in mixed_words.conclusion(mixed(images, limit))


def test_what_a_build_does_not_know_can_be_written_into_the_card() -> None:
    words = "A build does not know this. Write it down before you hand the model on."
    card = card_markdown(report())
    rows = [line for line in card.splitlines() if words in line]
    assert {row.split(" | ")[0].strip("| ") for row in rows} == {
        "uses to avoid",
        "images",
        "possible harm to people",
    }
    for row in rows:
        card = card.replace(row, row.replace(words, "Not for medical use"))
    assert words not in card
    assert isinstance(report(), Report)
