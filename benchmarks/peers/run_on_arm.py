"""Runs inside the emulator: `NAME FOLDER RUNS` infers RUNS times with a peer; the outside counts.

Inputs are set once where the engine allows it, so that a run is little more than the network. ExecuTorch is
run by run_executorch_on_arm.cc.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

Runs = tuple[Callable[[], object], Callable[[], np.ndarray]]
"""What is counted, and the logits after it."""


def onnxruntime(folder: Path) -> Runs:
    """A bound input and output."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "network.u8s8.onnx"), options)
    binding = session.io_binding()
    binding.bind_cpu_input("x", _image(folder))
    binding.bind_output("logits")
    return lambda: session.run_with_iobinding(binding), lambda: binding.copy_outputs_to_cpu()[0]


def litert(folder: Path) -> Runs:
    """Its network takes int8."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "network.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.load(folder / "inputs_int8.npy")[:1]
    )
    output = interpreter.get_output_details()[0]["index"]
    return interpreter.invoke, lambda: interpreter.get_tensor(output)


def ncnn(folder: Path) -> Runs:
    """An extractor is made anew for each run, as in a program that uses it."""
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    net.load_param(str(folder / "network.int8.ncnn.param"))
    net.load_model(str(folder / "network.int8.ncnn.bin"))
    image = ncnn.Mat(_image(folder)[0]).clone()

    def run() -> object:
        extractor = net.create_extractor()
        extractor.input("in0", image)
        return extractor.extract("out0")[1]

    return run, lambda: np.array(run())


def mnn(folder: Path) -> Runs:
    """A session on one thread; what stays float may be float16 ("low"), as on boards."""
    import MNN

    interpreter = MNN.Interpreter(str(folder / "network.int8.mnn"))
    session = interpreter.createSession({"backend": "CPU", "numThread": 1, "precision": "low"})
    source, result = interpreter.getSessionInput(session), interpreter.getSessionOutput(session)
    layout, kind = MNN.Tensor_DimensionType_Caffe, MNN.Halide_Type_Float
    image, shape = _image(folder), result.getShape()
    given = MNN.Tensor(source.getShape(), kind, image, layout)
    source.copyFrom(given)

    def logits() -> np.ndarray:
        source.copyFrom(given)  # its place is used for other things during a run
        interpreter.runSession(session)
        found = MNN.Tensor(shape, kind, np.zeros(shape, np.float32), layout)
        result.copyToHostTensor(found)
        return found.getNumpyData().copy()  # its memory goes with the tensor

    return lambda: interpreter.runSession(session), logits


def _image(folder: Path) -> np.ndarray:
    return np.load(folder / "inputs.npy")[:1]


if __name__ == "__main__":
    run, result = globals()[sys.argv[1]](Path(sys.argv[2]))
    for _ in range(int(sys.argv[3])):
        run()
    print("class", int(np.argmax(result())))
