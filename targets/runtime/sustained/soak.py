"""./run soak: runs the network for minutes; says what it sustains: latency, drift, heat, limits, energy.

Exit code: 0 passed (or no limit given), 1 the limit is exceeded, 3 not decided.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Callable, Sequence

import numpy as np

from ..beside import beside
from ..bundle.manifest import EVALUATION, Manifest, ManifestError
from ..machine import over_current_events, read_state
from ..nvpmodel import power_mode
from ..runners import find_runner
from .choice_file import CHOICE
from .load import Drift, Energy, Load, PowerSample, Seen, drift, energy, held_back, sustained_p90
from .power_meter import PowerMeter, find_meter

if TYPE_CHECKING:
    from pathlib import Path

REPORT = "soak.json"
FAILED, UNDECIDED = 1, 3
STATE_EVERY_S = 2.0


@dataclass(frozen=True)
class Soaked:
    """What a soak found, ready for JSON."""

    seconds: float
    inferences: int
    images_per_s: float
    sustained_p90_ms: tuple[float, float, float | None] | None
    """The p90 of the last fifth of the time, with its interval."""
    drift: Drift | None
    hottest_c: float | None
    held_back: dict[str, float]
    energy: Energy | None
    no_energy: str
    engine_sha256: str = ""
    """Of the file that the bundle calls its engine, so that a record is not taken for another's."""
    candidate: str = ""
    """What ran on a Jetson: the candidate that its build chose, such as fp16. Empty elsewhere."""
    power_mode: str = ""
    """A Jetson's power mode, as `nvpmodel.power_mode` says it at the beginning and, if others, at the end."""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """Run on the bundle in `folder`. Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        manifest = Manifest.read(folder)
        with np.load(str(folder / EVALUATION), allow_pickle=False) as held:
            images = held["images"]
        module = find_runner(manifest.runner)
        with module.open_engine(folder / manifest.engine, options.threads) as runner:
            found = soak(_in_turn(runner, images), 60 * options.minutes, options.idle_seconds, find_meter())
        sha256 = manifest.files.get(manifest.engine, "")
        found = replace(found, engine_sha256=sha256, candidate=candidate_in(folder / manifest.engine))
    except (ManifestError, ValueError, OSError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return FAILED
    text = json.dumps(asdict(found))
    (folder / REPORT).write_text(text)
    print(text if options.json else "\n".join(words(found)))
    code, verdict = judge(found, options.sustained_p90_ms)
    if verdict:
        print(verdict, file=sys.stderr if options.json else sys.stdout)
    return code


def candidate_in(engine: Path) -> str:
    """Return the candidate that was chosen beside a Jetson's engine; empty where there is no choice."""
    try:
        return str(json.loads((engine.parent / CHOICE).read_text())["precision"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run soak", description=__doc__)
    parser.add_argument("--minutes", type=_positive, default=10.0, help="how long (default: 10)")
    parser.add_argument(
        "--idle-seconds", type=_positive, default=10.0, help="of idle power first (default: 10)"
    )
    parser.add_argument("--sustained-p90-ms", type=_positive, help="fail if the last fifth's p90 is above it")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _in_turn(runner: Any, images: Any) -> Callable[[], object]:
    position = [0]

    def call() -> None:
        position[0] = (position[0] + 1) % len(images)
        runner.infer(images[position[0]][None])

    return call


def soak(call: Callable[[], object], seconds: float, idle_seconds: float, meter: PowerMeter | None) -> Soaked:
    """Run `call` for `seconds` after the board's idle power was read."""
    call()  # what is done once is not part of it
    mode = power_mode()
    idle = _idle_watts(meter, idle_seconds) if meter else []
    try:
        load = loaded(call, seconds, meter)
    finally:
        if meter:
            meter.close()
    at_end = power_mode()
    spent = energy(load, meter.rails, idle) if meter else None
    p90 = sustained_p90(load)
    heat = [one.temperature_c for one in load.seen if one.temperature_c is not None]
    return Soaked(
        seconds=load.seconds,
        inferences=len(load.took_ms),
        images_per_s=len(load.took_ms) * load.batch / load.seconds,
        sustained_p90_ms=None if p90 is None else (p90.value, p90.low, p90.high),
        drift=drift(load),
        hottest_c=max(heat, default=None),
        held_back=held_back(load),
        energy=spent,
        no_energy="" if spent else "no sensor on this board measures its power",
        power_mode=mode if mode == at_end else f"{mode}; at the end {at_end}",
    )


def _idle_watts(meter: PowerMeter, seconds: float) -> list[float]:
    end, found = time.monotonic() + seconds, [meter.watts()]
    while time.monotonic() < end:
        time.sleep(meter.interval_s)
        found.append(meter.watts())
    return [watts for watts in found if watts is not None]


def loaded(call: Callable[[], object], seconds: float, meter: PowerMeter | None) -> Load:
    """Run without a pause, and read power, heat and limits beside it."""
    start, currents = time.perf_counter(), over_current_events()
    began: list[float] = []
    took: list[float] = []
    power: list[PowerSample] = []
    seen: list[Seen] = []

    def read_power() -> None:
        watts = meter.watts() if meter else None
        if watts is not None:
            power.append(PowerSample(time.perf_counter() - start, watts))

    def look() -> None:
        state = read_state()
        more = [name for name, count in over_current_events().items() if count > currents.get(name, 0)]
        limits = (*state.limits, *more)
        seen.append(Seen(time.perf_counter() - start, state.temperature_c, limits))

    look()
    read_power()
    with beside(look, STATE_EVERY_S), beside(read_power, meter.interval_s if meter else STATE_EVERY_S):
        while True:
            before = time.perf_counter()
            if began and before - start >= seconds:
                break
            call()
            began.append(before - start)
            took.append(1e3 * (time.perf_counter() - before))
    return Load(before - start, 1, np.array(began), np.array(took), tuple(power), tuple(seen))


def judge(found: Soaked, limit_ms: float | None) -> tuple[int, str]:
    """Return the exit code and the verdict on the sustained p90, by its whole interval."""
    if limit_ms is None:
        return 0, ""
    claim = f"sustained p90 at most {limit_ms:g} ms"
    if found.sustained_p90_ms is None:
        return UNDECIDED, f"{claim}: not decided, nothing ran in the last fifth of the time"
    value, low, high = found.sustained_p90_ms
    measured = f"{value:.3f} ms [{low:.3f}, {'unbounded' if high is None else f'{high:.3f}'}]"
    if low > limit_ms:
        return FAILED, f"{claim}: FAIL, it is {measured}"
    if high is None or high > limit_ms:
        return UNDECIDED, f"{claim}: not decided, it is {measured}. Run it longer: --minutes"
    return 0, f"{claim}: pass, it is {measured}"


def words(found: Soaked) -> list[str]:
    """Return the findings as lines."""
    lines = [
        f"{found.inferences} inferences in {found.seconds:.0f} s, {found.images_per_s:.1f} images a second"
    ]
    if found.sustained_p90_ms is not None:
        value, low, high = found.sustained_p90_ms
        bound = "unbounded" if high is None else f"{high:.3f}"
        lines.append(f"sustained p90 (the last fifth of the time): {value:.3f} ms [{low:.3f}, {bound}]")
    if found.drift is not None:
        high = found.drift.high
        bound = "unbounded" if high is None else f"{high:.3f}"
        lines.append(
            f"drift: in the last fifth the median takes {found.drift.ratio:.3f} times as long as in the "
            f"first [{found.drift.low:.3f}, {bound}]"
        )
    heat = (
        "no temperature sensor"
        if found.hottest_c is None
        else f"hottest {found.hottest_c:.0f} degrees Celsius"
    )
    held = [f"{limit} from {at:.0f} s on" for limit, at in found.held_back.items()]
    if found.power_mode:
        lines.append(f"power mode {found.power_mode}")
    lines.append(f"{heat}; throttled: {', '.join(held) or 'by nothing that this board reports'}")
    lines.append(_energy_in_words(found.energy) if found.energy else f"energy: {found.no_energy}")
    return lines


def _energy_in_words(found: Energy) -> str:
    return (
        f"energy: {found.mj_per_image:.3f} mJ an image ({_about(found.half_width_mj)}), "
        f"{found.above_idle_mj:.3f} mJ without the idle {found.idle_watts:.2f} W "
        f"({_about(found.above_idle_half_width_mj)}); {found.watts:.2f} W on average: {found.rails}"
    )


def _about(half_width: float | None) -> str:
    return "too few readings for an interval" if half_width is None else f"+-{half_width:.3f}"
