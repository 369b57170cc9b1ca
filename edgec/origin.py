"""Checks that Python finds edgec's packages, and not a user's folders of the same names."""

import importlib.util
import sys
from pathlib import Path

PACKAGES = ("pipeline", "targets", "calibration")
HOME = Path(__file__).resolve().parents[1]
"""The folder that edgec's packages lie in: a checkout, or where pip installed them."""


def refuse_packages_from_elsewhere() -> None:
    """Raise ImportError, naming both places, if Python finds other packages under the names of edgec's."""
    for name in PACKAGES:
        found = _place(name)
        if found != HOME / name:
            raise ImportError(
                f"edgec needs its own package {name!r}, {HOME / name}, but Python finds"
                f" {found or 'none'}. Rename that folder, or start Python so that the folder it lies in does"
                " not come first on sys.path."
            )


def _place(name: str) -> Path | None:
    """Return the folder that a package is loaded from, or would be."""
    loaded = sys.modules.get(name)
    try:
        spec = loaded.__spec__ if loaded is not None else importlib.util.find_spec(name)
    except ValueError:  # a module that was made by hand
        spec = None
    if spec is None:
        return None
    places = spec.submodule_search_locations or ([spec.origin] if spec.origin else [])
    return Path(next(iter(places))).resolve() if places else None
