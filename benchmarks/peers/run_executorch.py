"""ExecuTorch with its XNNPACK backend, statically quantised."""

from pathlib import Path

import numpy as np
import serve


def build(folder: Path) -> None:
    """Lower network.pt2 into network.pte."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from executorch.exir import to_edge_transform_and_lower
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    network = torch.export.load(folder / "network.pt2").module()
    images = torch.from_numpy(np.load(folder / "calibration.npy"))
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    prepared = prepare_pt2e(network, quantizer)
    for image in images:
        prepared(image[None])
    quantised = torch.export.export(convert_pt2e(prepared), (images[:1],))
    program = to_edge_transform_and_lower(quantised, partitioner=[XnnpackPartitioner()]).to_executorch()
    (folder / "network.pte").write_bytes(program.buffer)


def load(folder: Path, threads: int) -> serve.Infer:
    """Load the program's only method."""
    import torch
    from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
    from executorch.runtime import Runtime

    _unsafe_reset_threadpool(threads)  # unsafe while something runs; nothing does
    method = Runtime.get().load_program(folder / "network.pte").load_method("forward")
    return lambda x: method.execute((torch.from_numpy(x),))[0].numpy()


if __name__ == "__main__":
    serve.main(build, load, ("torch", "executorch.runtime"))
