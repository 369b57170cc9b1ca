"""The record of a finished build: while nothing that it depends on has changed, it is not planned again.

An unchanged build finds each of its stages in the store, but to compute their keys it has to load most of
edgec. So a build records what it was made from and what it made. The next one with the same settings compares
that, and where all is as it was, it says again what an unchanged build says. Anything else, also what may
decide nothing, leads to the whole plan: the record only saves time, and may be deleted.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pipeline.build.given_settings import GivenSettings
from pipeline.build.stage_run import StageRun
from pipeline.cache.atomic import replacing
from pipeline.cache.digest import RememberedDigests, file_digest, value_digest
from pipeline.cache.remembered_code import is_settled
from pipeline.cache.store import FINISHED, Store
from pipeline.cache.surroundings import surroundings
from pipeline.cache.untouched import footing, look
from pipeline.data.embedded import NAMED
from pipeline.reading.json_text import bounded_json
from pipeline.reading.plain_file import read_plain
from pipeline.reading.reading_limits import REPORT_BYTES

if TYPE_CHECKING:
    from pipeline.build.plan import Build
    from pipeline.config import BuildConfig
    from pipeline.stages.artifacts import StageOutput

WARNINGS = "edgec.data"
"""The logger of what reading a data set warns of."""
MOST_SHOWN = 4
"""Widths and kinds of terminals for which the text of a report is kept."""


@dataclass(frozen=True)
class RecordedBuild:
    """A finished build: what it made and said, and what has to be as it was."""

    name: str
    bundle: str
    exit_code: int
    steps: tuple[tuple[str, str], ...]
    """Stage and key of each step, in order."""
    placed: Mapping[str, str]
    """Digests of the published files."""
    seen: Mapping[str, list[object] | None]
    """The state of each place that was read."""
    data: str
    """The one of them that holds the pictures: its files count by their identities alone."""
    said: tuple[str, ...]
    warned: tuple[str, ...]
    shown: Mapping[str, str] = field(default_factory=dict)
    """The report as text, by the kind of terminal."""

    @property
    def bundle_file(self) -> Path:
        """The published bundle."""
        return Path(self.bundle)

    @property
    def report(self) -> Path:
        """The published report.json."""
        return next(path for path in map(Path, self.placed) if path.name == "report.json")

    def content_of_report(self) -> object:
        """Return what report.json holds."""
        return json.loads(read_plain(self.report, REPORT_BYTES))

    @classmethod
    def read(cls, content: object) -> Self:
        """Return what was recorded. Raises TypeError or ValueError for anything else."""
        if not isinstance(content, dict):
            raise TypeError("a record is a table")
        steps = tuple((str(stage), str(key)) for stage, key in content.pop("steps"))
        said, warned = tuple(content.pop("said")), tuple(content.pop("warned"))
        return cls(steps=steps, said=said, warned=warned, **content)


class BuildRecord:
    """The place of a build's record. Create it before anything is read, and `save` when all is published."""

    def __init__(self, given: GivenSettings) -> None:
        self._given = given
        self._started = time.time_ns()
        self._around = ""
        self._can_be_recorded = False
        self._footing: dict[Path, tuple[int, int] | None] = {}
        self._warned: list[str] = []
        with suppress(OSError, ValueError, RecursionError):  # such as a working folder that is gone
            self._identity = given.identity
            self._store = given.out / "store"
            self._file = self._store / FINISHED / f"{given.digest[:32]}.json"
            self._around = surroundings()

    def load(self) -> "BuildConfig":
        """Return the checked settings. Raises UsageError for values that are not allowed.

        A build is recorded if it has to do with this machine and what its settings name only.
        """
        config = self._given.load()
        self._footing = {place: footing(place) for place in _named(config, self._given.file)}
        others = (config.device, config.calibration.quantized)
        if self._around and others == (None, None) and not config.package:
            with suppress(OSError):
                self._can_be_recorded = self._given.identity == self._identity
        return config

    def unchanged(self) -> tuple[RecordedBuild, tuple[StageRun, ...]] | None:
        """Return the build that was finished, if all is as it was, after comparing every byte of its results.

        What it used is marked as used, as by a build.
        """
        if not self._around:
            return None
        try:
            checksum, around, content = bounded_json(read_plain(self._file, REPORT_BYTES))
            if checksum != value_digest([around, content]) or around != self._around:
                return None
            found = RecordedBuild.read(content)
            same = all(_state(found, place) == state for place, state in found.seen.items())
            if not same or not all(_has(Path(path), digest) for path, digest in found.placed.items()):
                return None
        except (OSError, ValueError, TypeError):
            return None
        store, steps = Store(self._store), list[StageRun]()
        for stage, key in found.steps:
            start = time.perf_counter()
            product = store.recall(stage, key)
            if product is None:
                return None
            store.record(found.name, product)
            steps.append(StageRun(stage, cached=True, seconds=time.perf_counter() - start))
        return found, tuple(steps)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what a build warns of."""
        logger = logging.getLogger(WARNINGS)

        def note(record: logging.LogRecord) -> bool:
            self._warned.append(record.getMessage())
            return True

        logger.addFilter(note)
        try:
            yield
        finally:
            logger.removeFilter(note)

    def save(
        self,
        one: "Build",
        bundle: Path,
        placed: "Mapping[Path, tuple[StageOutput, str]]",
        exit_code: int,
        shown: Mapping[str, str],
    ) -> None:
        """Record a build, unless something that it read may have changed since it began.

        Nor is one recorded of which some stage ran and warned: it would be said again where no stage runs.
        """
        ran = any(not step.cached for step in one.steps)
        if not self._can_be_recorded or not is_settled() or (ran and self._warned):
            return
        from pipeline.build.read_places import data_of

        data = data_of(one)
        if data is None:
            return
        with suppress(OSError):
            looks = {str(place): look(place, read=place != data) for place in self.places(one)}
            moved = any(footing(place) != before for place, before in self._footing.items())
            before = self._started - RememberedDigests.RACY_NS
            if moved or any(seen.latest > before for seen in looks.values()):
                return
            done = RecordedBuild(
                name=one.name,
                bundle=str(bundle),
                exit_code=exit_code,
                steps=tuple((product.stage, product.key) for product in one.used),
                placed={str(path): part.product.digests[name] for path, (part, name) in placed.items()},
                seen={place: seen.state for place, seen in looks.items()},
                data=str(data),
                said=tuple(one.said),
                warned=tuple(self._warned),
                shown=shown,
            )
            self._write(done)

    def places(self, one: "Build") -> set[Path]:
        """Return all places that decide what a build makes: those it was given, and what these led to."""
        from pipeline.build.read_places import led_to

        return {*self._footing, *led_to(one)}

    def keep_text(self, done: RecordedBuild, terminal: str, text: str) -> None:
        """Keep the report as text for a kind of terminal."""
        newest = [*done.shown.items()][-MOST_SHOWN + 1 :]
        with suppress(OSError):
            self._write(replace(done, shown={**dict(newest), terminal: text}))

    def _write(self, done: RecordedBuild) -> None:
        content = [self._around, asdict(done)]
        self._file.parent.mkdir(exist_ok=True)
        with replacing(self._file) as scratch:
            scratch.write_text(json.dumps([value_digest(content), *content]))


def _named(config: "BuildConfig", file: Path | None) -> list[Path]:
    """Return the places that the settings name, or would name if they were there: see `relative_to`."""
    beside = [] if file is None else [file.parent / name for name in NAMED]
    named = (config.data, config.checkpoint, config.signing_key, config.soak, config.power_modes)
    model = Path(config.model)
    return [place for place in (*named, *beside, model, model.with_suffix(".toml")) if place is not None]


def _state(found: RecordedBuild, place: str) -> list[object] | None:
    return look(Path(place), read=place != found.data).state


def _has(file: Path, digest: str) -> bool:
    return file.is_file() and file_digest(file) == digest
