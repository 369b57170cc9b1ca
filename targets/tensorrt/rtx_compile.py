"""A program that compiles one ONNX file with TensorRT-RTX. It needs no GPU, and says nothing about speed:

    python -m targets.tensorrt.rtx_compile model.onnx SM86 build.log

Writes TensorRT's verbose log and prints one line of JSON: the errors, if any, and their nodes.
"""

import json
import sys
from pathlib import Path
from typing import Any


def main(model: str, capability: str, log: str) -> None:
    """Compile `model` for a compute capability such as SM86 and print the outcome."""
    import tensorrt_rtx as trt

    class Log(trt.ILogger):  # type: ignore[misc]
        """Writes everything to a file and keeps the errors."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.file = Path(log).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:  # noqa: ANN401 - an enumeration of theirs
            self.file.write(message + "\n")
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    logger = Log()
    outcome = {"version": trt.__version__, **_compile(trt, logger, Path(model), capability)}
    logger.file.close()
    sys.stdout.write(json.dumps(outcome) + "\n")


def _compile(trt: Any, logger: Any, model: Path, capability: str) -> dict[str, Any]:  # noqa: ANN401 - a module of theirs
    builder = trt.Builder(logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model.read_bytes()):
        found = [parser.get_error(i) for i in range(parser.num_errors)]
        errors = [f"{e.node_name() or 'the file'} ({e.node_operator()}): {e.desc()}" for e in found]
        return {"stage": "parse", "errors": errors}
    config = builder.create_builder_config()
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    image = network.get_input(0)
    if image.shape[0] < 0:
        profile = builder.create_optimization_profile()
        size = tuple(image.shape)[1:]
        profile.set_shape(image.name, (1, *size), (1, *size), (8, *size))
        config.add_optimization_profile(profile)
    if builder.build_serialized_network(network, config) is None:
        return {"stage": "build", "errors": logger.errors}
    return {"stage": "built", "errors": []}


if __name__ == "__main__":
    main(*sys.argv[1:])
