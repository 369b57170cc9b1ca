"""HOST:PORT IN.npz OUT.npz: what Triton's own client gets through its own shared memory."""

import sys

import numpy as np
import tritonclient.http as triton  # type: ignore[import-not-found] # in a folder of the test's
import tritonclient.utils.shared_memory as shm  # type: ignore[import-not-found] # the same

address, source, target = sys.argv[1:]
client = triton.InferenceServerClient(address)
assert "system_shared_memory" in client.get_server_metadata()["extensions"]
with np.load(source) as held:
    images = held["images"]
classes = client.get_model_metadata("tiny")["outputs"][0]["shape"][1]
room = len(images) * classes * 4
given = shm.create_shared_memory_region("images", "/edgec-test-in", images.nbytes + 64)
wanted = shm.create_shared_memory_region("logits", "/edgec-test-out", room + 8)
try:
    shm.set_shared_memory_region(given, [images], offset=64)
    client.register_system_shared_memory("images", "/edgec-test-in", images.nbytes + 64)
    client.register_system_shared_memory("logits", "/edgec-test-out", room + 8)
    told = {one["name"]: one for one in client.get_system_shared_memory_status()}
    assert told["images"] == {
        "name": "images",
        "key": "/edgec-test-in",
        "offset": 0,
        "byte_size": images.nbytes + 64,
    }
    assert [one["name"] for one in client.get_system_shared_memory_status("logits")] == ["logits"]
    image = triton.InferInput("image", list(images.shape), "UINT8")
    image.set_shared_memory("images", images.nbytes, offset=64)
    through_answer = client.infer("tiny", [image], outputs=[triton.InferRequestedOutput("logits")])
    output = triton.InferRequestedOutput("logits")
    output.set_shared_memory("logits", room, offset=8)
    answer = client.infer("tiny", [image], outputs=[output])
    about = answer.get_output("logits")
    assert about["parameters"] == {
        "shared_memory_region": "logits",
        "shared_memory_offset": 8,
        "shared_memory_byte_size": room,
    }
    through_memory = shm.get_contents_as_numpy(wanted, np.float32, about["shape"], offset=8)
    np.savez(target, answer=through_answer.as_numpy("logits"), memory=through_memory.copy())
    del through_memory
    client.unregister_system_shared_memory("images")
    assert [one["name"] for one in client.get_system_shared_memory_status()] == ["logits"]
    client.unregister_system_shared_memory()
    assert client.get_system_shared_memory_status() == []
finally:
    shm.destroy_shared_memory_region(given)
    shm.destroy_shared_memory_region(wanted)
client.close()
