"""What the static program reads of a picture, printed, and the same by OpenCV."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from targets.runtime.preprocess import ImageError, decode
from targets.runtime.zig import run_zig
from targets.tvm.link import NATIVE, PICTURES, STATIC

PARTS = [NATIVE / name for name in PICTURES]


def compile_pixel_program(folder: Path) -> Path:
    """Return the program, compiled into a folder."""
    source = Path(__file__).with_name("print_pixels.c")
    options = ["-target", "x86_64-linux-musl", *STATIC, "-std=c11", "-Wall", "-Wextra", "-Werror"]
    result = run_zig([*options, f"-I{NATIVE}"], [source, *PARTS], folder / "print_pixels")
    assert result.returncode == 0, result.stderr
    return folder / "print_pixels"


def read(program: Path, channels: int, files: Sequence[bytes], folder: Path) -> list[str]:
    """Return what it prints of each picture."""
    paths = []
    for number, content in enumerate(files):
        path = folder / str(number)
        path.write_bytes(content)
        paths.append(str(path))
    result = subprocess.run(
        [str(program), str(channels), *paths], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout.splitlines()


def by_opencv(content: bytes, channels: int) -> str | None:
    """Return what the program has to print of a picture; None if OpenCV cannot read it."""
    try:
        pixels = decode(content, channels)
    except ImageError:
        return None
    height, width, _ = pixels.shape
    return f"{height} x {width}: {' '.join(map(str, pixels.ravel().tolist()))}"
