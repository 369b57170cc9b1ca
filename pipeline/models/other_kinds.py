"""Files that are often given in the place of a network or its weights, by their first bytes."""

from pathlib import Path

GGUF = (
    "GGUF, llama.cpp's format, whose weights are in blocks of fewer bits. Give the checkpoint that it was"
    " made from"
)
KINDS = (
    (b"GGUF", GGUF),
    (b"\x89HDF\r\n\x1a\n", "a Keras file; give its name the ending .h5"),
    (b"\x1f\x8b", "packed with gzip. Unpack it and name the {wanted} in it"),
    (b"BZh", "packed with bzip2. Unpack it and name the {wanted} in it"),
    (b"\xfd7zXZ", "packed with xz. Unpack it and name the {wanted} in it"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd. Unpack it and name the {wanted} in it"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself. Fetch it: git lfs pull"),
    (b"<", "a web page, not {it}: the download was refused or asked for a log-in. Download it again"),
    (b"\x93NUMPY", "a NumPy array, not {it}. Name the {wanted}"),
    (b"{", "JSON, not {it}. Name the {wanted}"),
)
"""First bytes, and what to do about such a file."""
LOOKED_AT = 64
"""How many bytes of a file are looked at."""


def of_another_kind(path: Path, it: str, wanted: str) -> str | None:
    """Name a file's format where it is not `it`, and what to do. None: its first bytes do not show it."""
    with path.open("rb") as file:
        begin = file.read(LOOKED_AT)
    for magic, description in KINDS:
        if begin.startswith(magic):
            return f"{path} is {description.format(it=it, wanted=wanted)}."
    return None


def of_text(path: Path, it: str, wanted: str) -> str | None:
    """Return that a file is text and what to do; None if its first bytes are not text."""
    with path.open("rb") as file:
        begin = file.read(LOOKED_AT).decode(errors="replace")
    if begin and "\N{REPLACEMENT CHARACTER}" not in begin[:-1] and " ".join(begin.split()).isprintable():
        return f"{path} is text, not {it}. Name the {wanted}."
    return None
