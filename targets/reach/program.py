"""Parts of the runtime as one file that any Python on a device runs: python3 program.pyz ..."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[1] / "runtime"


def program(main: str, modules: Sequence[str]) -> bytes:
    """Return a program that calls `main()` of one module of the runtime; `modules` are all that it needs.

    The same sources give the same bytes.
    """
    files = {
        f"runtime/{name}.py": (RUNTIME / f"{name}.py").read_bytes() for name in ("__init__", main, *modules)
    }
    files["__main__.py"] = f"import sys\nfrom runtime.{main} import main\nsys.exit(main())\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return b"#!/usr/bin/env python3\n" + packed.getvalue()
