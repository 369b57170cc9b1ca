"""A model repository for Triton: pixels in as uint8 [H, W, C], logits out, batched as requests come."""

from collections.abc import Mapping

from pipeline.packages.golden import golden_files
from pipeline.packages.jetson_graphs import LARGEST_BATCH, below, build_script, graphs
from targets.reach.zip_program import program
from targets.runtime.bundle.archive import OpenBundle

QUEUE_US = 1000
"""How long a request waits for others to share a batch with."""
CHECK = "check_golden.pyz"
READ_ME = """# {model} for Triton Inference Server

On the device that serves it:

    ./build_engine.sh                              # models/{model}/1/model.plan, by this device's TensorRT
    tritonserver --model-repository=$PWD/models
    python3 {check} http://localhost:8000 {model}  # sends golden/*.input, compares with golden/*.logits

A request is raw pixels: uint8 [N, {height}, {width}, {channels}], RGB or gray, as `preprocessing.json` says a
picture becomes them; golden/picture.png and golden/picture.input are an example. Answers are float32 logits.

Triton's TensorRT has to be the one that builds: use its container for both steps. An engine gives the golden
logits up to the rounding of its FP16 layers; {check} reports the largest difference and fails where another
class comes out. It ran against a double of Triton's HTTP protocol, never against Triton itself.
"""


def files(bundle: OpenBundle) -> Mapping[str, bytes]:
    """Return the files of the package. Raises UsageError for a bundle that is not for a Jetson."""
    manifest, golden = bundle.manifest, golden_files(bundle)
    shape = [manifest.preprocessing[side] for side in ("height", "width", "channels")]
    classes = [len(manifest.classes), *(manifest.pixels or ())]
    place = f"models/{manifest.model}"
    text = READ_ME.format(
        model=manifest.model, check=CHECK, height=shape[0], width=shape[1], channels=shape[2]
    )
    return {
        **below("build", graphs(bundle, "triton")),
        "build_engine.sh": build_script(f"{place}/1/model.plan", "build"),
        f"{place}/config.pbtxt": config(manifest.model, shape, classes).encode(),
        f"{place}/labels.txt": "".join(f"{name}\n" for name in manifest.classes).encode(),
        f"{place}/warmup/golden": golden["0.input"],
        f"{place}/1/.keep": b"",
        **below("golden", golden),
        "preprocessing.json": bundle.read("preprocessing.json"),
        CHECK: program("check_served"),
        "README.md": text.encode(),
    }


def config(model: str, image: list[int], logits: list[int]) -> str:
    """Return config.pbtxt: protobuf's text form of inference.ModelConfig in Triton's model_config.proto.

    `image` and `logits` are shapes without the batch.
    """
    warm_ups = "\n".join(_warm_up(batch, image) for batch in (1, LARGEST_BATCH))
    return f"""name: {_quoted(model)}
platform: "tensorrt_plan"
max_batch_size: {LARGEST_BATCH}
input [ {{ name: "image" data_type: TYPE_UINT8 dims: {image} }} ]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: {logits} label_filename: "labels.txt" }} ]
instance_group [ {{ kind: KIND_GPU count: 1 }} ]
dynamic_batching {{ max_queue_delay_microseconds: {QUEUE_US} }}
optimization {{ cuda {{ graphs: true }} }}
{warm_ups}
"""


def _warm_up(batch: int, image: list[int]) -> str:
    return (
        f'model_warmup [ {{ name: "batch {batch}" batch_size: {batch} inputs {{ key: "image" value: {{ '
        f'data_type: TYPE_UINT8 dims: {image} input_data_file: "golden" }} }} }} ]'
    )


def _quoted(text: str) -> str:
    """Write a string as protobuf's text form has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
