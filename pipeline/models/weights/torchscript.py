"""The weights of a TorchScript archive, without loading the program in it.

The archive is a zip: `data.pkl` is a pickle of the tree of modules, whose tensors point at files `data/N`.
The unpickler here knows a few names, and replaces every module's class by an empty one.
"""

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.reading.reading_limits import WEIGHTS_MODULES
from pipeline.reading.zip_file import open_zip

NAME_CHARACTERS = 4096
"""Of a tensor's name: modules in each other repeat that of the one around them."""


class _Module:
    """Replaces a module of any class; has the attributes that the pickle sets."""

    def __init__(self, *_: object) -> None:
        self.attributes: dict[str, object] = {}

    def __setstate__(self, state: object) -> None:
        self.attributes = dict(state) if isinstance(state, dict) else {}


class _WeightsUnpickler(pickle.Unpickler):
    """Makes tensors, ordered dictionaries and `_Module`s; refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, pickled: str) -> None:
        super().__init__(archive.open(pickled))
        self._archive, self._folder = archive, pickled.removesuffix("data.pkl")
        self._stored: dict[str, bytearray] = {}  # read once, however often it is named

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - classes and functions
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch" and name.endswith("Storage"):
            return name
        if module == "torch.jit._pickle" and name.startswith("build_"):
            return list  # lists of numbers and of tensors
        known: dict[tuple[str, str], Callable[..., object]] = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("collections", "OrderedDict"): OrderedDict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Tensor:  # noqa: ANN401 - what the pickle holds
        """Return a storage as a flat tensor; pid is ("storage", its type, its file, device, size)."""
        _, kind, file, _, size = pid
        element = _ELEMENTS.get(kind)
        if element is None:
            raise pickle.UnpicklingError(f"its numbers are a {kind}")
        if file not in self._stored:
            self._stored[file] = bytearray(self._archive.read(f"{self._folder}data/{file}"))
        return (
            torch.frombuffer(self._stored[file], dtype=element)[:size]
            if size
            else torch.empty(0, dtype=element)
        )


def read_torchscript(path: Path) -> dict[object, object]:
    """Return parameters and buffers by name, as state_dict() would. Raises what unpickling raises."""
    with open_zip(path) as archive:
        pickled = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if pickled is None:
            raise pickle.UnpicklingError("it has no data.pkl")
        root = _WeightsUnpickler(archive, pickled).load()
    return dict(_tensors(root))


def _tensors(root: object) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor by its path. Modules may be shared, so that a few make endlessly many paths."""
    waiting = [("", root)]
    for _ in range(WEIGHTS_MODULES):
        if not waiting:
            return
        prefix, module = waiting.pop()
        if len(prefix) > NAME_CHARACTERS:
            raise pickle.UnpicklingError(f"a name in it has over {NAME_CHARACTERS:,} characters")
        if isinstance(module, _Module):
            for name, value in reversed(module.attributes.items()):
                waiting.append((f"{prefix}.{name}", value))
        elif isinstance(module, Tensor):
            yield prefix.removeprefix("."), module
    raise pickle.UnpicklingError(f"it has over {WEIGHTS_MODULES:,} modules, or some that hold themselves")


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    return torch.as_strided(storage, tuple(size), tuple(stride), offset)


_ELEMENTS = {
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
