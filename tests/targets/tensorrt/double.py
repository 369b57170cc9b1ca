"""A strict double of the module `tensorrt`: a version's genuine interface, and what a test lets it answer.

Every attribute must exist in that version. Every call is compared with the genuine signature: the number of
arguments, the keywords, and the types as far as the signature names them. Enumerations and the classes that
are subclassed (ILogger, IProfiler) are the genuine ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Callable

CREATED = ("Builder", "OnnxParser", "Runtime")
"""Classes whose objects begin with the libraries' code, so doubles stand in for them."""
SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\((.*)\) -> (.+)$", re.MULTILINE)
PARAMETER = re.compile(r"(\w+)(?:: ([^=]+?))?(?: = (.*))?$")
PLAIN: dict[str, Any] = {
    "int": int,
    "SupportsInt": int,
    "str": str,
    "bool": bool,
    "float": (float, int),
    "buffer": bytes,
    "Buffer": bytes,
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a genuine signature."""

    name: str
    kind: str
    optional: bool


@dataclass(frozen=True)
class Overload:
    """One overload."""

    parameters: tuple[Parameter, ...]
    returns: str


@dataclass
class Double:
    """The module. `answers` are what an attribute is or a method returns, or a function for it, by
    (class, name); `calls` are all calls and settings in order."""

    genuine: ModuleType
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    calls: list[tuple[str, str, tuple[Any, ...]]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self.genuine, name):
            raise AttributeError(f"TensorRT {self.genuine.__version__} has no {name}")
        found = getattr(self.genuine, name)
        if name not in CREATED:
            return found
        return lambda *values, **named: self._created(found, values, named)

    def _created(self, kind: type, values: tuple[Any, ...], named: dict[str, Any]) -> DoubleObject:
        self.check(kind, "__init__", values, named)
        return self.make(kind.__name__)

    def make(self, name: str, /, **answers: Any) -> DoubleObject:
        """Return an object of the class called `name`, as if TensorRT had made it, with its own answers."""
        return DoubleObject(self, getattr(self.genuine, name), answers)

    def check(self, kind: type, name: str, values: tuple[Any, ...], named: dict[str, Any]) -> str:
        """Compare a call with the genuine signatures and return what it gives. Raises TypeError."""
        known = signatures(getattr(kind, name))
        problems = [_problem(one, values, named) for one in known]
        if "" in problems:
            return known[problems.index("")].returns
        raise TypeError(
            f"TensorRT {self.genuine.__version__}: {kind.__name__}.{name}{values}{named or ''}: {problems}"
        )


class DoubleObject:
    """An object of one of TensorRT's classes."""

    def __init__(self, module: Double, kind: type, answers: dict[str, Any]) -> None:
        object.__setattr__(self, "_module", module)
        object.__setattr__(self, "_answers", answers)
        object.__setattr__(self, "_kind", kind)
        object.__setattr__(self, "_set", {})

    def __getattr__(self, name: str) -> Any:
        module, kind = self._module, self._kind
        if not hasattr(kind, name):
            raise AttributeError(f"TensorRT {module.genuine.__version__}: {kind.__name__} has no {name}")
        if isinstance(getattr(kind, name), property):
            return self._set.get(name, self._answer(name))
        return self._method(name)

    def __setattr__(self, name: str, value: Any) -> None:
        found = getattr(self._kind, name, None)
        if not isinstance(found, property) or found.fset is None:
            raise AttributeError(
                f"TensorRT {self._module.genuine.__version__}: {self._kind.__name__}.{name} cannot be set"
            )
        self._set[name] = value
        self._module.calls.append((self._kind.__name__, name, (value,)))

    def _answer(self, name: str) -> Any:
        return self._answers.get(name, self._module.answers.get((self._kind.__name__, name)))

    def _method(self, name: str) -> Callable[..., Any]:
        def call(*values: Any, **named: Any) -> Any:
            returns = self._module.check(self._kind, name, values, named)
            self._module.calls.append((self._kind.__name__, name, values))
            answer = self._answer(name)
            if callable(answer):
                return answer(*values, **named)
            if answer is not None:
                return answer
            given = returns.rpartition(".")[2].rpartition("::")[2]
            as_in_python = given[1:] if given.startswith("I") else given
            for known in (given, as_in_python):  # 8.6 names some classes as C++ does
                if isinstance(getattr(self._module.genuine, known, None), type):
                    return self._module.make(known)
            return True if given == "bool" else None

        return call


def signatures(function: Any) -> list[Overload]:
    """The overloads in a docstring of pybind11."""
    found = []
    for parameters, returns in SIGNATURE.findall(function.__doc__ or ""):
        if parameters == "*args, **kwargs":
            continue
        parsed = [PARAMETER.match(part) for part in _split(parameters)]
        known = [Parameter(m[1], (m[2] or "").strip(), m[3] is not None) for m in parsed if m]
        found.append(Overload(tuple(known[1:]), returns.strip()))  # without self
    return found


def _split(text: str) -> list[str]:
    """Split at commas outside brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "(": 1, "<": 1, "]": -1, ")": -1, ">": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def _problem(signature: Overload, values: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Why a call does not fit a signature; empty if it does."""
    parameters = signature.parameters
    if len(values) > len(parameters):
        return f"takes {len(parameters)} arguments"
    given = {**dict(zip((p.name for p in parameters), values)), **named}
    unknown = set(named) - {p.name for p in parameters}
    missing = [p.name for p in parameters if not p.optional and p.name not in given]
    wrong = [p.name for p in parameters if p.name in given and not _fits(given[p.name], p.kind)]
    return " ".join(
        f"{what} {names}"
        for what, names in (("unknown", unknown), ("missing", missing), ("type of", wrong))
        if names
    )


def _fits(value: Any, kind: str) -> bool:
    plain = kind.rpartition(".")[2]
    if plain in PLAIN:
        return isinstance(value, PLAIN[plain])
    if plain == "Dims":  # converted from any sequence of numbers
        return isinstance(value, tuple) and all(isinstance(v, int) for v in value)
    if kind.startswith(("Tuple", "tuple", "List", "list")) or kind == "object":
        return True
    if isinstance(value, DoubleObject):
        return bool(plain == value._kind.__name__)
    return plain in [base.__name__ for base in type(value).__mro__]
