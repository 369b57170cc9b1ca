"""Packs parts of the runtime into one file that any Python on a device runs: python3 program.pyz ..."""

import ast
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
_PARSING = threading.Lock()
"""Two threads that parse at once end in a SystemError: https://github.com/python/cpython/issues/106905."""


def program(main: str, *found_by_name: str) -> bytes:
    """Return a program that calls `main()` of one module of the runtime, such as "tensorrt.device_steps".

    It contains everything that the module imports, also within functions; `found_by_name` are modules that
    it imports by a name given at run time. The same sources give the same bytes.
    """
    parts = _parts(main, *found_by_name)
    files = {f"runtime/{path.relative_to(RUNTIME).as_posix()}": path.read_bytes() for path in parts}
    files["__main__.py"] = f"import sys\nfrom runtime.{main} import main\nsys.exit(main())\n".encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return b"#!/usr/bin/env python3\n" + packed.getvalue()


def _parts(*modules: str) -> set[Path]:
    """The files of runtime modules and of everything that they import from the runtime."""
    found: set[Path] = set()
    waiting = [_file(RUNTIME, module) for module in modules]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [path.parent / "__init__.py", *_imported(path)]
    return found | {RUNTIME / "__init__.py"}


def _imported(path: Path) -> Iterator[Path]:
    """Yield the files that relative imports of a module name: `from ..a import b` is a, or b in package a."""
    with _PARSING:
        tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            package, module = path.parents[node.level - 1], node.module or ""
            if module and _file(package, module).exists():
                yield _file(package, module)
            else:
                yield from (_file(package / module.replace(".", "/"), name.name) for name in node.names)


def _file(package: Path, module: str) -> Path:
    return package.joinpath(*module.split(".")).with_suffix(".py")
