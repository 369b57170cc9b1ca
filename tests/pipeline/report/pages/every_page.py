"""One of each kind of page that edgec writes, as full as it can be."""

from collections.abc import Callable

import numpy as np

from pipeline.report.model.calibration_study import CalibrationStudy, Count, Draw
from pipeline.report.model.certainty import Interval, Verdict
from pipeline.report.model.difference_report import (
    DifferenceReport,
    FoundFault,
    LogitAgreement,
    RestoredTensor,
    Sameness,
    SeenPicture,
    TensorAgreement,
    TensorHistogram,
)
from pipeline.report.model.image_accuracy import Accuracy
from pipeline.report.model.image_explanation import (
    Cause,
    ClassMargin,
    ClippedTensor,
    ImageExplanation,
    LayerEffect,
    NearImage,
    TriedBits,
    UsualMargins,
)
from pipeline.report.model_card import card_html
from pipeline.report.pages.difference_page import difference_html
from pipeline.report.pages.ensemble_page import Combination, EnsembleReport
from pipeline.report.pages.ensemble_page import html as ensemble_html
from pipeline.report.pages.explanation_page import explanation_html
from pipeline.report.pages.matrix_page import matrix_html
from pipeline.report.pages.report_page import render_html
from pipeline.report.pages.study_page import study_html
from pipeline.report.side_by_side import side_by_side_html
from pipeline.report.thumbnails import png_base64
from pipeline.training.curves_page import render as training_html
from pipeline.training.judge import Judgement
from pipeline.training.training_run import EpochRecord, Watched
from tests.pipeline.report.matrix_rows import whole_matrix
from tests.pipeline.report.samples import everything, pixel_report, report

CLASSES = ("Äpfel", "Zitronen", "Gurken", "Mandarinen", "Auberginen", "a class with quite a long name")
MANY = tuple(f"class number {number}" for number in range(20))


def difference() -> DifferenceReport:
    """A fault at thirteen places, another one, and a network of forty tensors."""
    tensors = tuple(
        TensorAgreement(
            tensor=f"/layer{n // 8}/block{n % 8}/conv{n}/Conv_output_0_QuantizeLinear_Output",
            operator="Conv",
            b_tensor=f"fused_{n}",
            b_operator="Conv",
            here_db=45.0 - (30 if n == 17 else 0),
            so_far_db=max(5.0, 60.0 - n),
        )
        for n in range(40)
    )
    fault = FoundFault(
        kind="the mean is not subtracted",
        place=tensors[17].tensor,
        evidence="its channels differ by constants: 0.485, 0.456, 0.406",
        before_db=15.0,
        after_db=130.0,
        remedy="Set mean in the description of the network.",
    )
    gray = png_base64(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3))
    equal = [fault.replace(place=one.tensor, after_db=None) for one in tensors[18:30]]
    return DifferenceReport(
        a="/home/user/networks/resnet18-narrow2-128px-grocery/model.onnx",
        b="release-2026-11-28.edgec",
        verdict=Sameness.DIFFERENT,
        summary="B is another network from the seventeenth tensor on.",
        notes=("3 of A's tensors were not found in B",),
        logits=LogitAgreement(
            pictures=64, same_class=0.72, agreement_db=12.0, largest_difference=4.5, equal_bits=False
        ),
        looked_inside=16,
        matched_by="names",
        matched_share=0.93,
        faults=(fault, fault.replace(kind="another scale", after_db=None), *equal),
        tensors=tensors,
        restored=tuple(
            RestoredTensor(
                tensor=one.tensor, logits_db=30.0, same_class=0.98, gain=Interval(low=20.0, high=32.0)
            )
            for one in tensors[17:20]
        ),
        seen=(SeenPicture(a_png=gray, b_png=gray), SeenPicture(a_png=gray, b_png=None)),
        histograms=(
            TensorHistogram(
                tensor=fault.place, low=-3, high=5, a=(0, 4, 900, 20), b=(1, 8, 12, 0), limits=(-1.0, 1.0)
            ),
        ),
        processor="AMD EPYC (x86_64 25.17.1, 2 cores)",
    )


def explanation() -> ImageExplanation:
    """A flipped picture, with every part of an explanation."""
    gray = png_base64(np.arange(3072, dtype=np.uint8).reshape(32, 32, 3))
    long = "w8a8_asym_mse_wide_bc: 12 of 20 activations in 16 bits, calibrated on 512 images"
    return ImageExplanation(
        image="/home/user/photos/test/Zitronen/IMG_20261128_123456_a_long_name_of_a_photo.jpg",
        build="out/resnet18-narrow2-128px-grocery-host",
        recipe="w8a8_asym_mse_bc",
        label=CLASSES[0],
        first=CLASSES[0],
        second=CLASSES[5],
        cause=Cause.UNUSUAL_CHANGE,
        summary="Flipped: FP32 says Äpfel, by 0.129; INT8 says another, by 0.184.",
        advice="1 of 20 layers flip it back alone in float.",
        notes=("the picture is 28 x 28; it is fitted to 32 x 32 as in the build (pad)",),
        fp32=ClassMargin(answer=CLASSES[0], margin=0.13, first_probability=0.5, second_probability=0.4),
        int8=ClassMargin(answer=CLASSES[5], margin=-0.18, first_probability=0.4, second_probability=0.5),
        usual=UsualMargins(images=256, smaller_share=0.02, largest_usual_change=0.1, as_changed_share=0.01),
        layers=tuple(
            LayerEffect(
                layer=f"/network/layer{n // 8}/layer{n % 8}.0/conv{n}/Conv_output_0",
                operator="Conv",
                alone=None if n == 3 else n / 20 - 0.3,
                up_to_here=n / 20 - 0.2,
            )
            for n in range(12)
        ),
        clipped=(ClippedTensor(tensor="/network/layer1/Relu_output_0", share=0.03, usual_share=0.001),),
        near=tuple(
            NearImage(name=f"train/{label}/{n}.jpg", label=label, cosine=0.9, thumbnail_png=gray)
            for label in (CLASSES[0], CLASSES[5])
            for n in range(4)
        ),
        near_votes=6,
        near_counted=10,
        more_bits=(TriedBits(change=long, answer=CLASSES[0], margin=0.03),),
        thumbnail_png=gray,
        processor="AMD EPYC (x86_64 25.17.1, 2 cores)",
    )


def study() -> CalibrationStudy:
    """Four numbers of images, three draws each."""
    counts = tuple(
        Count(
            images=images,
            draws=tuple(Draw(seed=s, sqnr_db=34 - 20 / images + 0.3 * s, agreement=0.99) for s in range(3)),
        )
        for images in (8, 32, 128, 512)
    )
    return CalibrationStudy(
        model="resnet20-fashion",
        recipe="w8a8_asym_mse_bc",
        dataset="fashion-mnist",
        judged_on=1000,
        counts=counts,
        tolerance_db=0.25,
        enough=128,
    )


def ensemble() -> EnsembleReport:
    """Two networks and their average; one of them guesses."""
    accuracy = report().accuracy
    assert isinstance(accuracy, Accuracy)
    rate = accuracy.top1
    combinations = tuple(
        Combination(
            members=members,
            images=1000,
            int8_top1=top1,
            int8_interval=Interval(low=top1 - 0.01, high=top1 + 0.01),
            int8_against_fp32=rate,
            plausible=plausible,
            why="FP32 is right for 10.1 % of 1,000 images, and guessing for 10 %",
            int8_against_best_single=rate,
            int8_ms=ms,
            fp32_ms=3 * ms,
            instructions=None,
        )
        for members, top1, plausible, ms in (
            (("resnet20-fashion",), 0.94, Verdict.PASS, 0.2),
            (("mobilenet-v3-small-of-somebody",), 0.101, Verdict.MEANINGLESS, 0.35),
            (("resnet20-fashion", "mobilenet-v3-small-of-somebody"), 0.945, Verdict.PASS, 0.55),
        )
    )
    return EnsembleReport(target="host", best_single="resnet20-fashion", combinations=combinations)


def _epochs(count: int) -> list[EpochRecord]:
    return [
        EpochRecord(
            epoch=epoch,
            side=128,
            learning_rate=0.01,
            loss=2 / epoch,
            accuracy=1 - 0.8 / epoch,
            seconds=3.0,
            watched=Watched(images="held_out", loss=2.2 / epoch, accuracy=1 - 0.85 / epoch),
        )
        for epoch in range(1, count + 1)
    ]


def _judgement() -> Judgement:
    counts = np.diag([14, 15, 12, 16, 13, 10]) + np.eye(6, k=1, dtype=np.int64)
    return Judgement(0.31, counts.astype(np.int64))


PAGES: dict[str, Callable[[], str]] = {
    "report": lambda: render_html(everything()),
    "unmeasured report": lambda: render_html(report(measured=False)),
    "report of many classes": lambda: render_html(report(noise=1.0, classes=MANY)),
    "report of pixels": lambda: render_html(pixel_report()),
    "compare": lambda: side_by_side_html([report(), report(noise=0.3), report(measured=False)]),
    "matrix": lambda: matrix_html(whole_matrix()),
    "diff": lambda: difference_html(difference()),
    "explain": lambda: explanation_html(explanation()),
    "study": lambda: study_html(study()),
    "ensemble": lambda: ensemble_html(ensemble()),
    "running training": lambda: training_html("on photos", 30, _epochs(4), CLASSES, None, finished=False),
    "training": lambda: training_html("on photos", 12, _epochs(12), CLASSES, _judgement(), finished=True),
    "model card": lambda: card_html(everything()),
}
