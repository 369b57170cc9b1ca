"""Baselines: the main figures of a build, as a JSON file small enough to commit."""

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import PositiveInt

from pipeline.errors import ReportError
from pipeline.report.model.build_report import Report
from pipeline.report.model.measured_latency import Latency, Quantile
from pipeline.report.model.measured_sizes import MeasuredMemory
from pipeline.report.model.pixel_accuracy import PixelAccuracy
from pipeline.report.record import Base64, Record, Sha256, load_record
from targets.base import Origin


class StoredLatency(Record):
    """The quantiles of a latency and the conditions they hold for."""

    origin: Origin
    batch: PositiveInt
    threads: PositiveInt | None
    p50: Quantile
    p90: Quantile


class Baseline(Record):
    """The figures of one model on one target and device, kept to compare later builds with."""

    schema_version: Literal[1] = 1
    model: str
    target: str
    device: str  # the one that ran INT8
    tools: dict[str, str]  # name -> version: changes are shown, and are no reason to refuse
    dataset: str
    evaluation_digest: Sha256
    images: PositiveInt
    int8_right: Base64  # one bit an image, as in Accuracy
    int8_origin: Origin
    engine_bytes: PositiveInt
    latency: StoredLatency | None  # None: was not measured
    memory: MeasuredMemory

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a baseline. Raises ReportError saying what is wrong with the file."""
        return load_record(cls, path, "baseline", version=1)

    @property
    def file_name(self) -> str:
        """Return the name to keep it under: one for each model, target and device."""
        parts = (self.model, self.target, self.device)
        return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part).strip("_") for part in parts)[:150] + ".json"


def baseline_of(report: Report) -> Baseline:
    """Return the baseline of a report. Raises ReportError for a network that classifies pixels."""
    subject, accuracy, latency = report.subject, report.accuracy, report.latency_int8
    if isinstance(accuracy, PixelAccuracy):
        raise ReportError(
            f"{subject.model} classifies pixels, and a baseline holds which images are right: compare its"
            " reports with `edgec report compare`"
        )
    return Baseline(
        model=subject.model,
        target=subject.target,
        device=report.machines[1].description,
        tools=report.tools,
        dataset=subject.dataset,
        evaluation_digest=subject.evaluation_digest,
        images=accuracy.top1.images,
        int8_right=accuracy.int8_right,
        int8_origin=accuracy.int8_origin,
        engine_bytes=report.sizes.engine or report.sizes.int8_model,  # where the device builds it
        latency=_stored(latency) if isinstance(latency, Latency) else None,
        memory=report.memory_int8,
    )


def _stored(latency: Latency) -> StoredLatency:
    return StoredLatency(
        origin=latency.origin,
        batch=latency.batch,
        threads=latency.threads,
        p50=latency.p50,
        p90=latency.p90,
    )
