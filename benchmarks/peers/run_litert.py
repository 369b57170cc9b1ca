"""LiteRT, which runs on XNNPACK: converted and statically quantised by litert-torch.

Its network takes and returns int8; quantising the images is not timed.
"""

from pathlib import Path

import numpy as np
import serve


def build(folder: Path) -> None:
    """Convert network.pt2 into network.tflite, channels last."""
    import litert_torch
    import torch
    from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
    from litert_torch.quantize.quant_config import QuantConfig
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    network = torch.export.load(folder / "network.pt2").module()
    images = torch.from_numpy(np.load(folder / "calibration.npy"))
    quantizer = PT2EQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(network, quantizer)
    for image in images:
        prepared(image[None])
    quantised = convert_pt2e(prepared, fold_quantize=False)
    last = litert_torch.to_channel_last_io(quantised, args=[0])
    sample = (images[:1].permute(0, 2, 3, 1).contiguous(),)
    edge = litert_torch.convert(last, sample, quant_config=QuantConfig(pt2e_quantizer=quantizer))
    edge.export(str(folder / "network.tflite"))
    _quantise_inputs(folder)


def _quantise_inputs(folder: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    scale, zero = Interpreter(str(folder / "network.tflite")).get_input_details()[0]["quantization"]
    steps = np.rint(np.load(folder / "inputs.npy").transpose(0, 2, 3, 1) / scale) + zero
    np.save(folder / "inputs_int8.npy", np.clip(steps, -128, 127).astype(np.int8))


def load(folder: Path, threads: int) -> serve.Infer:
    """Open an interpreter; its XNNPACK delegate is on by default."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(folder / "network.tflite"), num_threads=threads)
    interpreter.allocate_tensors()
    source, result = (
        d[0]["index"] for d in (interpreter.get_input_details(), interpreter.get_output_details())
    )

    def infer(x: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source, x)
        interpreter.invoke()
        return interpreter.get_tensor(result)

    return infer


if __name__ == "__main__":
    serve.main(build, load, ("ai_edge_litert.interpreter",), "inputs_int8.npy")
