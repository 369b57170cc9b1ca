"""The list of tensors at the front of a safetensors file, read before the tensors.

https://huggingface.co/docs/safetensors: eight bytes of length, then JSON; "duplicate keys are disallowed".
The library takes the last of two tensors of one name, and makes millions of empty ones, or of dimensions.
"""

from pathlib import Path

from pipeline.reading.json_text import bounded_json
from pipeline.reading.reading_limits import WEIGHTS_DIMENSIONS, WEIGHTS_LIST_BYTES


def check_header(path: Path) -> None:
    """Refuse a header that claims too much or names a tensor twice. Raises ValueError, OSError."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > WEIGHTS_LIST_BYTES:
            raise ValueError(
                f"its list of tensors has {size:,} bytes; at most {WEIGHTS_LIST_BYTES:,} are read"
            )
        text = file.read(size)
    found = bounded_json(text, pairs=_unique)
    for name, entry in found.items() if isinstance(found, dict) else ():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        if isinstance(shape, list) and len(shape) > WEIGHTS_DIMENSIONS:
            raise ValueError(f"{name!r} has {len(shape):,} dimensions")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} is in its list twice")
        found[key] = value
    return found
