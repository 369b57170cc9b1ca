"""How figures are written, the same in the terminal, in HTML and in Markdown."""

from pipeline.report.model.certainty import Interval

NOT_MEASURED = "not measured"


def count(number: int) -> str:
    """Write a count: 10,000."""
    return f"{number:,}"


def percent(share: float) -> str:
    """Write a share in [0, 1]: 93.41 %."""
    return f"{100 * share:.2f} %"


def significant(value: float, digits: int = 3) -> str:
    """Write a number with `digits` significant digits, never in scientific notation: 0.421, 1.31, 1,234."""
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


def microseconds(value: float) -> str:
    """Write what one layer takes: 11.1 µs."""
    return f"{significant(value)} µs"


def size(number: int | None) -> str:
    """Write a number of bytes: 282 KiB. None: the engine exists on the device only."""
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


def plural(number: int, noun: str) -> str:
    """Write a count with its noun: 1 image, 2 images."""
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"
