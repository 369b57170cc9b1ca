"""How figures are written, the same in the terminal, in HTML and in Markdown."""

from pipeline.report.model.certainty import Interval, NotMeasured
from pipeline.report.model.performance import Instructions, Latency, MachineConditions, Memory, SpeedRatio

NOT_MEASURED = "not measured"


def count(number: int) -> str:
    """Write a count: 10,000."""
    return f"{number:,}"


def percent(share: float) -> str:
    """Write a share in [0, 1]: 93.41 %."""
    return f"{100 * share:.2f} %"


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits, never in scientific notation: 0.421, 1.31, 1,234."""
    if value == 0:
        return "0"
    decimals = max(
        0, digits - len(str(int(abs(value)))) if abs(value) >= 1 else digits + _leading_zeros(value)
    )
    return f"{value:,.{decimals}f}"


def _leading_zeros(value: float) -> int:
    exponent = int(f"{abs(value):e}".split("e")[1])
    return -exponent - 1


def milliseconds(value: float) -> str:
    """Write a latency: 0.4213 ms."""
    return f"{significant(value, 4)} ms"


def size(number: int | None) -> str:
    """Write a number of bytes: 282 KiB; None is of an engine that is, or will be, on the device alone."""
    if number is None:
        return "on the device"
    value = float(number)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{significant(value)} {unit}" if unit != "B" else f"{number} B"
        value /= 1024
    return f"{significant(value)} GiB"


def interval(found: Interval, decimals: int = 2) -> str:
    """Write an interval: [-0.04, 0.40]."""
    high = "unbounded" if found.high is None else f"{found.high:z.{decimals}f}"
    return f"[{found.low:z.{decimals}f}, {high}]"


def milliseconds_interval(found: Interval) -> str:
    """Write an interval of latencies: [0.4190, 0.4241]."""
    high = "unbounded" if found.high is None else significant(found.high, 4)
    return f"[{significant(found.low, 4)}, {high}]"


def probability(p: float) -> str:
    """Write a p-value: 0.032, or < 0.001."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def points(value: float) -> str:
    """Write a difference of percentages with its sign: +0.18."""
    return f"{value:+z.2f}"


def decibels(value: float | None) -> str:
    """Write an SQNR: 31.2 dB."""
    return "identical" if value is None else f"{value:.1f} dB"


def speed_up(speed: SpeedRatio, than: str = "FP32") -> str:
    """Write how fast INT8 is against FP32: 3.12 [3.11, 3.13] times as fast."""
    fastest = f"{1 / speed.interval.low:.2f}" if speed.interval.low > 0 else "unbounded"
    slowest = 0.0 if speed.interval.high is None else 1 / speed.interval.high
    return f"{1 / speed.ratio:.2f} [{slowest:.2f}, {fastest}] times as fast as {than}"


def circumstances(latency: Latency) -> str:
    """Write how a latency was measured: host, batch 1, 2 threads, 600 runs after 60 of warm-up."""
    threads = (
        "threads as the runner decides" if latency.threads is None else plural(latency.threads, "thread")
    )
    runs = f"{plural(len(latency.runs_ns), 'run')} after {count(latency.warmup_runs)} of warm-up"
    return f"{latency.origin}, batch {latency.batch}, {threads}, {runs}"


def stopping(latency: Latency) -> str:
    """Write why no more runs were made."""
    reasons = {
        "precise": "stopped when the median was known as precisely as asked",
        "max_runs": "stopped at the most runs allowed",
        "max_seconds": "stopped when the time allowed was up",
    }
    return reasons[latency.stopped]


def memory(measured: Memory | NotMeasured) -> str:
    """Write peak memory: 79.2 MiB, or not measured."""
    return NOT_MEASURED if isinstance(measured, NotMeasured) else size(measured.peak_bytes)


def plural(number: int, noun: str) -> str:
    """Write a count with its noun: 1 image, 2 images."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


def machine_state(latency: Latency) -> str:
    """Write the state of the machine before and after measuring, as far as it could be read."""
    before, after = latency.before, latency.after
    pairs: tuple[tuple[str, float | None, float | None, str], ...] = (
        ("slowest clock", _slowest(before), _slowest(after), "MHz"),
        ("temperature", before.temperature_c, after.temperature_c, "°C"),
        ("throttling events", before.throttle_events, after.throttle_events, ""),
        ("load", before.load_average, after.load_average, ""),
    )
    known = [f"governor {', '.join(before.governors)}"] if before.governors else []
    unknown = [] if before.governors else ["governor"]
    for name, first, last, unit in pairs:
        if first is None or last is None:
            unknown.append(name)
        else:
            change = f"{first:.4g}" if first == last else f"{first:.4g} to {last:.4g}"
            known.append(f"{name} {change} {unit}".strip())
    said = f"The machine before and after: {', '.join(known)}." if known else ""
    missing = f"This system does not tell: {', '.join(unknown)}." if unknown else ""
    return f"{said} {missing}".strip()


def _slowest(state: MachineConditions) -> float | None:
    return min(state.frequencies_mhz, default=None)


def instructions(counted: Instructions) -> str:
    """Say how many instructions an inference executes, and where that was counted."""
    return f"{count(counted.per_inference)} instructions an inference ({counted.origin}: {counted.machine})"
