"""Memory and processor time of readers at their limits: python -m benchmarks.reader_memory [NAME...].

Each file is read in a process of its own after all libraries are imported. A reader takes at most MOST_MIB
above that and MOST_SECONDS; the exit code is 1 if one took more. What it says of the file is printed.
"""

import os
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime  # noqa: F401 - its memory is not a file's
import pytest

from pipeline.build.parts import RECORD
from pipeline.cache.product import MANIFEST
from pipeline.models.class_list import classes_in_metadata
from pipeline.models.foreign.description import Description, described
from pipeline.models.foreign.rewrite import adopt
from pipeline.reading.json_text import MARKS
from pipeline.reading.reading_limits import (
    JSON_VALUES,
    LITERAL_CHARACTERS,
    NAMES_BYTES,
    REPORT_BYTES,
    REPORT_VALUES,
    SETTINGS_BYTES,
    WEIGHTS_LIST_BYTES,
)
from targets.reach.answer_limits import ANSWER_BYTES, ANSWER_VALUES
from targets.runtime.bundle.manifest import Manifest
from targets.runtime.bundle.signature import Signature
from targets.runtime.device_limits import ENGINE_TEXT_BYTES, KEY_BYTES, TEXT_BYTES
from tests.attacks import growing
from tests.attacks.limits.beyond_limits import NAMED
from tests.attacks.limits.limits_of_bundles import engine_with
from tests.attacks.limits.limits_of_networks import safetensors
from tests.attacks.shared_tflite import shared
from tests.fuzz.readers import READERS, put

MOST_MIB, MOST_SECONDS = 256, 10.0
Reading = Callable[[Path], object]
SHAPES: Mapping[str, tuple[str, str, str]] = {
    "empty lists": ("[", "[],", "[]]"),
    "empty objects": ("[", "{},", "{}]"),
    "numbers": ("[", "1000,", "1]"),
    "strings": ("[", '"ab",', '""]'),
    "one long string": ('["', "a", '"]'),
    "keys": ("{", "", "}"),
}
"""A JSON text: its begin, what is repeated, and its end."""


def json_text(shape: str, size: int, values: int = 1 << 40) -> bytes:
    """Return JSON of nearly `size` bytes, or with nearly so many values as they are counted."""
    if shape == "keys":
        count = min(size // 11, values // 3 - 1)
        return ("{" + ",".join(f'"{n:x}":{{}}' for n in range(count)) + "}").encode()
    begin, repeated, end = SHAPES[shape]
    counted = sum(map(repeated.count, MARKS))
    count = min((size - len(begin + end)) // len(repeated), (values - 4) // counted if counted else size)
    return (begin + repeated * count + end).encode()


def toml(line: str) -> bytes:
    """Return settings of nearly the limit: a line with a number in it, again and again."""
    count = SETTINGS_BYTES // (len(line.format(0)) + 6)
    return "\n".join(line.format(n) for n in range(count)).encode()


def through(reader: str, content: bytes) -> Reading:
    """Read through the function that the fuzzers use."""
    return lambda folder: READERS[reader](content, folder)


def parsed(read: Callable[[bytes], object], content: bytes) -> Reading:
    """Give the bytes to a function."""
    return lambda _: read(content)


def network_with_metadata(key: str, text: str) -> Reading:
    """Read a small network that says something about itself."""

    def read(folder: Path) -> object:
        model = growing.network(growing.node("Relu", ["r"], ["q"]))
        entry = model.metadata_props.add()
        entry.key, entry.value = key, text
        path = put(model.SerializeToString(), folder / "net.onnx")
        form = Description(size=(32, 32), channels=1, fit="pad")
        classes_in_metadata({key: text})
        return adopt(described(path, form), True, lambda _: None)

    return read


def engine_text(text: bytes) -> Reading:
    """Read an engine that says this of itself."""
    return lambda folder: engine_with(text)(folder, pytest.MonkeyPatch())


def all_shapes(name: str, reader: str, most: int, values: int = 1 << 40) -> dict[str, Reading]:
    """Read JSON of every shape through the function that the fuzzers use."""
    return {f"{name}: {shape}": through(reader, json_text(shape, most, values)) for shape in SHAPES}


def cases() -> dict[str, Reading]:
    """Return what is read, by name."""
    table = b"a = [" + b"{}," * ((SETTINGS_BYTES - 20) // 3) + b"]"
    lists = b"a = [" + b"[]," * ((SETTINGS_BYTES - 20) // 3) + b"]"
    signatures = ",".join(f'{{"key":"{n:064x}","signature":"00"}}' for n in range(TEXT_BYTES // 100))
    begin = '{"format":"edgec-signature","version":1,"key":"00","signature":"00","also":['
    names = "{" + ",".join(f"{n}:'c'" for n in range(99_000)) + "}"
    found: dict[str, Reading] = {
        "settings: empty tables in a list": through("settings", table),
        "settings: empty lists in a list": through("settings", lists),
        "settings: keys": through("settings", toml("k{} = 1")),
        "settings: tables": through("settings", toml("[t{}]")),
        "settings: dotted keys": through("settings", toml("t{}.a.b.c = 1")),
        "settings: tables of a list": through("settings", toml("[[t]]\nk={}")),
        "settings: one key, 32 parts, again": through("settings", toml(".".join("abcdefgh" * 3) + ".k{}=1")),
        "signature: 20,000 signatures": parsed(Signature.parse, (begin + signatures + "]}").encode()),
        "keys: empty lists": through("keys", json_text("empty lists", KEY_BYTES)),
        "tflite: shared names": through("tflite", shared(tensors=19_999, name=200)),
        "tflite: a tensor 19,999 times": through("tflite", shared(tensors=19_999)),
        "ONNX metadata: names": network_with_metadata("names", names),
        "ONNX metadata: empty lists": network_with_metadata(
            "names", "[" + "[]," * (LITERAL_CHARACTERS // 3 - 2) + "]"
        ),
        "ONNX metadata: JSON of empty lists": network_with_metadata(
            "id2label", json_text("empty lists", LITERAL_CHARACTERS).decode()
        ),
        "ONNX metadata: 16 MiB": network_with_metadata("names", "{}," * ((16 << 20) // 3)),
    }
    found |= {f"engine's text: {shape}": engine_text(json_text(shape, ENGINE_TEXT_BYTES)) for shape in SHAPES}
    found |= {
        f"safetensors: {shape}": through("safetensors", safetensors(json_text(shape, WEIGHTS_LIST_BYTES)))
        for shape in SHAPES
    }
    for shape in SHAPES:
        content = json_text(shape, TEXT_BYTES)
        found[f"bundle's manifest: {shape}"] = parsed(lambda raw: Manifest.parse(raw.decode()), content)
        found[f"signature: {shape}"] = parsed(Signature.parse, content)
    found |= all_shapes("a board's facts", "board", ANSWER_BYTES, ANSWER_VALUES)
    found |= all_shapes("a board's times", "times", ANSWER_BYTES, ANSWER_VALUES)
    found |= all_shapes(f"the store's {MANIFEST}", "stored entry", NAMES_BYTES, JSON_VALUES)
    found |= all_shapes("a report", "report", REPORT_BYTES, REPORT_VALUES)
    fields = b",".join(b'"%x":{}' % n for n in range(650_000))
    found["a report: unknown fields"] = through("report", b'{"schema_version":1,%s}' % fields)
    found |= all_shapes(f"a part's {RECORD}", "part", REPORT_BYTES, JSON_VALUES)
    found |= all_shapes("a unit", "unit", SETTINGS_BYTES)
    return found


def used() -> tuple[float, float]:
    """Return processor seconds and peak MiB of this process and its children."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = sum((own.ru_utime, own.ru_stime, others.ru_utime, others.ru_stime))
    return seconds, max(own.ru_maxrss, others.ru_maxrss) / 1024


def measured(name: str, read: Reading) -> bool:
    """Read in a process of its own, print what it took, and return whether that is within the limits."""
    if (child := os.fork()) == 0:
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins now
        seconds, peak = used()
        with tempfile.TemporaryDirectory() as folder:
            try:
                said = f"read: {type(read(Path(folder))).__name__}"
            except NAMED as error:
                said = str(error)
            except BaseException as error:
                said = f"TRACEBACK {error!r}"
        spent, top = used()[0] - seconds, used()[1] - peak
        sound = spent <= MOST_SECONDS and top <= MOST_MIB and not said.startswith("TRACEBACK")
        mark = "" if sound else "  ABOVE"
        print(f"{name:42} {spent:6.2f} s {top:7.0f} MiB{mark}  {' '.join(said.split())[:110]!r}", flush=True)
        os._exit(0 if sound else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main(*names: str) -> int:
    """Measure what has one of these in its name, or everything."""
    chosen = {name: read for name, read in cases().items() if not names or any(one in name for one in names)}
    sound = [measured(name, read) for name, read in chosen.items()]
    return int(not all(sound))


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
