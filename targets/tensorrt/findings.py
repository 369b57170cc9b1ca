"""Writes a Jetson's reports about its engines as sentences for the report."""

from typing import Any

from targets.base import CandidateTimes, Check, TriedCandidate

NAMED = 5


def findings(found: dict[str, Any]) -> tuple[Check, ...]:
    """Return the findings in an answer of `measure` of targets.runtime.tensorrt.device_steps."""
    int8, fp16 = found["latency"]["int8"], found["latency"]["fp16"]
    clocks = "clocks locked" if found["clocks_locked"] else "clocks not locked"
    graphs = "as CUDA graphs" if found["cuda_graphs"] else "without CUDA graphs"
    mode = found["facts"]["power_mode"] or "unknown"
    memory = "pixels read where they are" if found["in_place"] else "pixels copied to the GPU"
    messages = [
        ("end to end", f"INT8 {_quantiles(int8['end_to_end'])}; FP16 {_quantiles(fp16['end_to_end'])}"),
        ("computing alone", f"INT8 {_quantiles(int8['compute'])}; FP16 {_quantiles(fp16['compute'])}"),
        ("circumstances", f"{clocks}, power mode {mode}, {graphs}, {memory}"),
        ("INT8 engine", _layers(found["layers"]["int8"])),
    ]
    return tuple(Check(name, "passed", message) for name, message in messages)


def tried(found: dict[str, Any]) -> tuple[TriedCandidate, ...]:
    """Return every candidate in an answer of `measure`."""
    return tuple(
        TriedCandidate(
            name=trial["name"],
            what=trial["what"],
            problem=trial["problem"],
            times=None if trial["problem"] else _times(found, trial["name"]),
        )
        for trial in found["candidates"]
    )


def _times(found: dict[str, Any], name: str) -> CandidateTimes:
    layers, same = found["layers"][name], found["agreement"][name]
    end_to_end, compute = (found["latency"][name][what]["p50_ms"] for what in ("end_to_end", "compute"))
    return CandidateTimes(
        end_to_end=(end_to_end["value"], end_to_end["low"], end_to_end["high"]),
        compute=(compute["value"], compute["low"], compute["high"]),
        layers=layers.get("layers"),
        int8_layers=layers.get("int8_layers"),
        same_class=same["same_class"],
        images=same["images"],
    )


def _quantiles(one: dict[str, Any]) -> str:
    return ", ".join(f"{name} {one[f'{name}_ms']['value']:.3f} ms" for name in ("p50", "p90", "p99"))


def _layers(layers: dict[str, Any]) -> str:
    if "problem" in layers:
        return f"TensorRT does not tell its layers: {layers['problem']}"
    count = f"{layers['int8_layers']} of {layers['layers']} layers"
    written = f"{layers['int8_written']} of them write INT8, the others floats"
    share = f"{count} and {layers['int8_time_share']:.0%} of the time in INT8; {written}"
    others, reformats = layers["not_int8"], layers["reformats"]
    return f"{share}; reformats: {_named(reformats)}; not INT8, slowest first: {_named(others)}"


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return (", ".join(names[:NAMED]) or "none") + more
