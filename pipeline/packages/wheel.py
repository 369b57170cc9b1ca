"""A wheel of libedgec and its binding for Python, for machines without edgec."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from importlib.metadata import version

from pipeline.packages.cpu_engine import machine, require_cpu
from targets.runtime.bundle.archive import OpenBundle
from targets.runtime.c_library import GLIBC
from targets.runtime.compiled_libedgec import SHARED

NAME = "libedgec"
MOMENT = (2020, 1, 1, 0, 0, 0)
"""The time of every file, as in the other packages."""
BINDING = ("runtime/embedded_network.py", "runtime/embedded_frame.py")
"""Where a bundle holds the binding, and a wheel below its own package. Older bundles have the first alone."""
START = '''"""Networks that edgec compiled, by libedgec: the same calls, the same bytes, the same logits."""

from .runtime.embedded_network import (
    EmbeddedContext,
    EmbeddedDescription,
    EmbeddedFrame,
    EmbeddedNetwork,
    EmbeddedNetworkError,
)

__all__ = [
    "EmbeddedContext",
    "EmbeddedDescription",
    "EmbeddedFrame",
    "EmbeddedNetwork",
    "EmbeddedNetworkError",
]
'''
METADATA = """Metadata-Version: 2.1
Name: {name}
Version: {version}
Summary: Networks that edgec compiled, in Python: INT8 with exact answers, frames as cameras give them
License: MIT
Requires-Python: >=3.8
Requires-Dist: numpy
"""
WHEEL = """Wheel-Version: 1.0
Generator: edgec {version}
Root-Is-Purelib: false
Tag: {tag}
"""
READ_ME = """# {file}: networks that edgec compiled, in Python

    pip install {file}

```python
from libedgec import EmbeddedFrame, EmbeddedNetwork

with EmbeddedNetwork("{model}.edgec") as network, network.context() as context:
    print(network.likeliest(context.run_frame(EmbeddedFrame("BGR", (picture,)))))  # picture: uint8 [H, W, 3]
```

It holds libedgec for {machine} and its binding, and needs NumPy alone; Python 3.8 or later, glibc {glibc} or
later. No network is in it: it opens bundles and engines for this machine.
"""


def files(bundle: OpenBundle) -> Mapping[str, bytes]:
    """Return the files of the package. Raises UsageError for a bundle that is not for a CPU."""
    require_cpu(bundle, "wheel")
    held = machine(bundle)
    tag = f"py3-none-manylinux_{GLIBC.replace('.', '_')}_{held}"
    file = f"{NAME}-{version('edgec')}-{tag}.whl"
    model = f"{bundle.manifest.model}-{bundle.manifest.target}"
    text = READ_ME.format(file=file, model=model, machine=held, glibc=GLIBC)
    return {file: _wheel(bundle, tag), "README.md": text.encode()}


def _wheel(bundle: OpenBundle, tag: str) -> bytes:
    """Return a wheel as the Binary Distribution Format of PyPA has it."""
    number = version("edgec")
    about = f"{NAME}-{number}.dist-info"
    content = {
        f"{NAME}/__init__.py": START.encode(),
        f"{NAME}/py.typed": b"",
        f"{NAME}/runtime/__init__.py": b"",
        **{f"{NAME}/{file}": bundle.read(file) for file in BINDING if file in bundle.manifest.files},
        f"{NAME}/lib/{SHARED}": bundle.read(f"lib/{SHARED}"),
        f"{about}/METADATA": METADATA.format(name=NAME, version=number).encode(),
        f"{about}/WHEEL": WHEEL.format(version=number, tag=tag).encode(),
    }
    record = f"{about}/RECORD"
    lines = [f"{name},{_digest(data)},{len(data)}\n" for name, data in content.items()]
    content[record] = "".join([*lines, f"{record},,\n"]).encode()
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return written.getvalue()


def _digest(data: bytes) -> str:
    """Return a digest as RECORD has it (PEP 376 and 427)."""
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
