"""Runs inside the emulator: `onnxruntime|litert FOLDER RUNS` infers RUNS times; the outside counts."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np


def onnxruntime(folder: Path) -> tuple[Callable[[], object], Callable[[], np.ndarray]]:
    """Bind input and output once, so that a run is little more than the network."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "network.u8s8.onnx"), options)
    binding = session.io_binding()
    binding.bind_cpu_input("x", np.load(folder / "inputs.npy")[:1])
    binding.bind_output("logits")
    return lambda: session.run_with_iobinding(binding), lambda: binding.copy_outputs_to_cpu()[0]


def litert(folder: Path) -> tuple[Callable[[], object], Callable[[], np.ndarray]]:
    """Set the input once."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "network.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.load(folder / "inputs_int8.npy")[:1]
    )
    output = interpreter.get_output_details()[0]["index"]
    return interpreter.invoke, lambda: interpreter.get_tensor(output)


if __name__ == "__main__":
    run, result = {"onnxruntime": onnxruntime, "litert": litert}[sys.argv[1]](Path(sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        run()
    print("class", int(np.argmax(result())))
