"""What packages for NVIDIA's programs share: a Jetson's graphs, and the program that builds engines from
them.
"""

from collections.abc import Callable, Mapping

import onnx

from pipeline.errors import UsageError
from targets.reach.zip_program import program
from targets.runtime.bundle.archive import OpenBundle
from targets.runtime.tensorrt.build_plan import FLAGS, TYPED
from targets.runtime.tensorrt.candidate import INT8_FP16_ONNX, INT8_ONNX
from targets.tensorrt.jetson_target import JetsonTarget

BUILDER = "build_plan.pyz"
LARGEST_BATCH = 8
"""The largest batch: engines are built for 1 to this many images at once."""


def graphs(
    bundle: OpenBundle, kind: str, change: Callable[[onnx.ModelProto], onnx.ModelProto] | None = None
) -> dict[str, bytes]:
    """Return the ONNX files of a Jetson's bundle, changed, and the program that builds an engine of them.

    Raises UsageError as `require_jetson`.
    """
    require_jetson(bundle, kind)
    files = {}
    for name, source in ((FLAGS, INT8_ONNX), (TYPED, INT8_FP16_ONNX)):
        data = bundle.read(f"engine/{source}")
        if change is not None:
            data = change(onnx.load_from_string(data)).SerializeToString(deterministic=True)
        files[name] = data
    return {**files, BUILDER: program("tensorrt.build_plan")}


def require_jetson(bundle: OpenBundle, kind: str) -> None:
    """Raise UsageError, with the `kind` of package, for a bundle of another target."""
    if bundle.manifest.runner != JetsonTarget.runner:
        raise UsageError(
            f"A package for {kind} is made of a bundle for a Jetson; this one is for "
            f"{bundle.manifest.target}. Build one with --target jetson."
        )


def build_script(plan: str, folder: str = ".") -> bytes:
    """Return a shell script that builds the engine `plan` beside itself from the graphs in `folder`."""
    return (
        "#!/bin/sh\n"
        "# Builds the INT8 engine on the device that runs it, with its TensorRT (8.5 to 11), or trtexec.\n"
        'set -eu\ncd "$(dirname "$0")"\n'
        f"exec python3 {folder}/{BUILDER} --folder {folder} --plan {plan} "
        f'--largest-batch {LARGEST_BATCH} "$@"\n'
    ).encode()


def below(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return files moved into a folder."""
    return {f"{folder}/{name}": data for name, data in files.items()}
