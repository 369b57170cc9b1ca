"""PROGRAM HOST:PORT IN.npz OUT.npz: what Triton's own client gets of the service."""

import sys

import numpy as np
import tritonclient.http as triton  # type: ignore[import-not-found] # in a folder of the test's

address, source, target = sys.argv[1:]
client = triton.InferenceServerClient(address)
assert client.is_server_live()
assert client.is_server_ready()
assert client.is_model_ready("tiny")
assert client.is_model_ready("tiny", "1")
assert not client.is_model_ready("other")
assert client.get_server_metadata()["name"] == "edgec"
assert client.get_model_repository_index()[0]["name"] == "tiny"
(told,) = client.get_model_metadata("tiny")["inputs"]
with np.load(source) as held:
    images, frame = held["images"], held["frame"]
    height, width = (int(n) for n in held["size"])
assert told["shape"][1:] == list(images.shape[1:])
answers: dict[str, np.ndarray] = {}
for binary in (True, False):
    given = triton.InferInput("image", list(images.shape), "UINT8")
    given.set_data_from_numpy(images, binary_data=binary)
    for output in (None, True, False):
        asked = None if output is None else [triton.InferRequestedOutput("logits", binary_data=output)]
        found = client.infer("tiny", [given], outputs=asked, request_id="7")
        assert found.get_response()["id"] == "7"
        answers[f"logits {binary} {output}"] = found.as_numpy("logits")
    for output in (True, False):
        asked = [triton.InferRequestedOutput("logits", binary_data=output, class_count=2)]
        classes = client.infer("tiny", [given], outputs=asked).as_numpy("logits")
        answers[f"classes {binary} {output}"] = np.array(
            [[one.decode() if isinstance(one, bytes) else one for one in row] for row in classes]
        )
given = triton.InferInput("frame", [frame.size], "UINT8")
given.set_data_from_numpy(frame)
told = {"pixels": "NV12", "matrix": "BT709", "range": "FULL", "height": height, "width": width}
answers["frame"] = client.infer("tiny", [given], parameters=told).as_numpy("logits")
with np.load(source) as held:
    files = np.array([held["jpeg"].tobytes(), held["png"].tobytes()], object)
given = triton.InferInput("picture", [len(files)], "BYTES")
given.set_data_from_numpy(files)
answers["picture"] = client.infer("tiny", [given]).as_numpy("logits")
stats = client.get_inference_statistics("tiny")["model_stats"][0]
assert stats["inference_count"] == 10 * len(images) + 3
client.close()
np.savez(target, allow_pickle=False, **answers)
