"""Files beyond the limits of what reads bundles, keys and engines."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.bundle.contents import verify
from targets.runtime.bundle.keyring import parse
from targets.runtime.bundle.manifest import Manifest
from targets.runtime.bundle.signature import PublicKey, Signature
from targets.runtime.device_limits import ENGINE_TEXT_BYTES, KEY_BYTES, TEXT_BYTES
from targets.runtime.native_runner import FOOTER, read_engine
from tests.attacks.bundles import header
from tests.attacks.limits.beyond_limits import (
    BY_BYTES,
    DEEP,
    NO_NEST,
    NO_PICTURE,
    Case,
    Limits,
    sized,
    text,
)
from tests.fuzz.readers import put
from tests.fuzz.sound_files import sound


def tar(*entries: bytes) -> bytes:
    return gzip.compress(b"".join(entries) + bytes(1024))


def engine_with(text: bytes) -> Case:
    def case(folder: Path, _: pytest.MonkeyPatch) -> object:
        raw = bytearray(sound("engine", folder))
        footer = len(raw) - FOOTER.size
        numbers = list(FOOTER.unpack(raw[footer:]))
        numbers[7], numbers[8] = footer, len(text)
        return read_engine(put(bytes(raw[:footer]) + text + FOOTER.pack(*numbers), folder / "x.engine"))

    return case


def signature(path: Path) -> object:
    return Signature.parse(path.read_bytes())


BUNDLES: Limits = {
    "bundle": {
        "bytes": text(verify, "x.edgec", tar(header("m-t/engine", 2 << 30))),
        "elements": text(verify, "x.edgec", tar(*(header(f"m-t/{n}", 0) for n in range(1001)))),
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "packed bundle": {
        "bytes": text(verify, "x.edgec", tar(header("m-t/engine", 512 << 20))),
        "elements": "as a bundle",
        "depth": NO_NEST,
        "pixels": NO_PICTURE,
    },
    "manifest": {
        "bytes": text(verify, "x.edgec", tar(header("m-t/manifest.json", TEXT_BYTES + 1))),
        "elements": BY_BYTES,
        "depth": lambda _, __: Manifest.parse(DEEP),
        "pixels": NO_PICTURE,
    },
    "keys": {
        "bytes": sized(PublicKey.read, "x.pub", KEY_BYTES + 1),
        "elements": text(
            signature,
            "x",
            json.dumps(
                {**json.loads(Signature(bytes(32), bytes(64)).to_json())}
                | {"also": [{"key": f"{n:064x}", "signature": "00" * 64} for n in range(1, 20)]}
            ),
        ),
        "depth": text(parse, "keys.json", DEEP[:60_000]),
        "pixels": NO_PICTURE,
    },
    "engine": {
        "bytes": engine_with(b"{" + b" " * ENGINE_TEXT_BYTES + b"}"),
        "elements": BY_BYTES,
        "depth": engine_with(DEEP.encode()),
        "pixels": NO_PICTURE,
    },
}
