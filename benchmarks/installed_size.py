"""Says how many MB of packages an installation has, and what each extra adds: of those installed here."""

import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
BASE: list[str] = PROJECT["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def closure(requirements: list[str]) -> dict[str, metadata.Distribution]:
    """Return the installed packages that requirements bring, and theirs, by name."""
    found: dict[str, metadata.Distribution] = {}
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        wanted = not requirement.marker or requirement.marker.evaluate({"extra": extra})
        if name == "edgec":
            waiting += [(Requirement(text), "") for one in requirement.extras for text in EXTRAS[one]]
        elif wanted and name not in found:
            found[name] = metadata.distribution(name)
            extras = requirement.extras or {""}
            waiting += [(Requirement(text), each) for text in found[name].requires or () for each in extras]
    return found


def size_mb(packages: dict[str, metadata.Distribution]) -> float:
    """Return the size of all files of the packages, in MB."""
    paths = (Path(str(file.locate())) for one in packages.values() for file in one.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def rows() -> Iterator[tuple[str, float, list[str]]]:
    """Yield each extra with the MB it adds to the base, and its largest packages."""
    base = closure(BASE)
    yield "base", size_mb(base), largest(base)
    for extra, requirements in EXTRAS.items():
        added = {name: one for name, one in closure(requirements).items() if name not in base}
        yield extra, size_mb(added), largest(added)


def largest(packages: dict[str, metadata.Distribution], count: int = 5) -> list[str]:
    """Return the largest packages, each with its MB."""
    sizes = sorted(((size_mb({name: one}), name) for name, one in packages.items()), reverse=True)
    return [f"{name} {size:.0f}" for size, name in sizes[:count]]


if __name__ == "__main__":
    for extra, size, packages in rows():
        print(f"{extra:8} {size:6.0f} MB  {', '.join(packages)}")
