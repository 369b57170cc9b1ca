"""Writes a Jetson's reports about its engines as sentences for the report."""

from targets.base import CandidateTimes, Check, TriedCandidate
from targets.runtime.tensorrt.engine import FP16, INT8
from targets.runtime.tensorrt.separate_qdq import words
from targets.tensorrt.measured_answer import MeasuredAnswer, TimedEngine, ToldLayers

NAMED = 5


def findings(found: MeasuredAnswer) -> tuple[Check, ...]:
    """Return what was found beside the times of each candidate."""
    int8, fp16, around = found.timed[INT8], found.timed[FP16], found.circumstances
    clocks = "clocks locked" if around.clocks_locked else "clocks not locked"
    graphs = "as CUDA graphs" if around.cuda_graphs else "without CUDA graphs"
    memory = "pixels read where they are" if around.in_place else "pixels copied to the GPU"
    mode = around.power_mode or "unknown"
    messages = [
        (title, f"INT8 {_quantiles(int8, what)}; FP16 {_quantiles(fp16, what)}")
        for title, what in (("end to end", "end_to_end"), ("computing alone", "compute"))
    ]
    messages += [
        ("circumstances", f"{clocks}, power mode {mode}, {graphs}, {memory}"),
        ("INT8 engine", _layers(int8.layers)),
    ]
    return tuple(Check(name, "passed", message) for name, message in messages)


def tried(found: MeasuredAnswer) -> tuple[TriedCandidate, ...]:
    """Return every candidate, and why one of them is chosen."""
    return tuple(
        TriedCandidate(
            name=trial.name,
            what=trial.what,
            problem=trial.problem,
            times=None if trial.problem else _times(found, trial.name),
            chosen=found.why if trial.name == found.chosen else "",
        )
        for trial in found.trials
    )


def _times(found: MeasuredAnswer, name: str) -> CandidateTimes:
    timed = found.timed[name]
    end_to_end, compute = (timed.summary(what)["p50_ms"] for what in ("end_to_end", "compute"))
    drop = found.drops.get(name)
    return CandidateTimes(
        end_to_end=(end_to_end["value"], end_to_end["low"], end_to_end["high"]),
        compute=(compute["value"], compute["low"], compute["high"]),
        layers=timed.layers.layers or None,
        int8_layers=timed.layers.int8_layers if timed.layers.layers else None,
        same_class=timed.same_class,
        images=found.images,
        drop=None if drop is None else (drop["value"], drop["low"], drop["high"]),
    )


def _quantiles(timed: TimedEngine, what: str) -> str:
    one = timed.summary(what)
    return ", ".join(f"{name} {one[f'{name}_ms']['value']:.3f} ms" for name in ("p50", "p90", "p99"))


def _layers(layers: ToldLayers) -> str:
    if layers.problem:
        return f"TensorRT does not tell its layers: {layers.problem}"
    count = f"{layers.int8_layers} of {layers.layers} layers"
    written = f"{layers.int8_written} of them write INT8, the others floats"
    share = f"{count} and {layers.int8_time_share:.0%} of the time in INT8; {written}"
    others, reformats = _named(layers.not_int8), _named(layers.reformats)
    fused = words(layers.separate_qdq)
    return f"{share}; reformats: {reformats}; not INT8, slowest first: {others}; {fused}"


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "none") + more
