"""The public face of edgec: what a program may rely on. docs/stability.md says for how long.

    import edgec

    report = edgec.build(model="resnet20-fashion", target="host")
    print(report.verdict, report.accuracy)

Everything else, in `pipeline`, `targets` and `calibration`, may change in any version. Nothing is loaded
before it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calibration.recipe import QuantRecipe
    from edgec.face import build, quantize
    from pipeline.config import BuildConfig
    from pipeline.report.model.build_report import Report
    from targets.registry import find_target

    __version__: str

__all__ = [
    "BuildConfig",
    "QuantRecipe",
    "Report",
    "__version__",
    "build",
    "find_target",
    "quantize",
]

_WHERE = {
    "BuildConfig": "pipeline.config",
    "QuantRecipe": "calibration.recipe",
    "Report": "pipeline.report.model.build_report",
    "build": "edgec.face",
    "find_target": "targets.registry",
    "quantize": "edgec.face",
}
"""The module that each name comes from."""


def __getattr__(name: str) -> object:
    """Load what is asked for. Raises ImportError if another project's packages would be taken for ours."""
    if name == "__version__":
        from importlib.metadata import version

        return version("edgec")
    if name not in _WHERE:
        raise AttributeError(f"module 'edgec' has no attribute {name!r}")
    from edgec.origin import refuse_packages_from_elsewhere

    refuse_packages_from_elsewhere()
    import_module("pipeline")  # first: it looks at the sources before they are read
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
