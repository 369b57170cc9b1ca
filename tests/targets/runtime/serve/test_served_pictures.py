"""Files of pictures over KServe v2: the logits of what calibration decodes from them."""

import json
import platform
import struct
import threading
from collections.abc import Sequence
from http.client import HTTPConnection
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.compiled_service import COMPILED_SERVICE, SERVICE
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.runtime.preprocess import decode
from tests.targets.runtime.native.jpeg_files import segment
from tests.targets.runtime.native.png_files import exif
from tests.targets.runtime.serve.conftest import Service, serving

PICTURE = np.random.default_rng(0).integers(0, 256, (37, 52, 3), np.uint8)
LARGE = cv2.resize(PICTURE, (900, 2300), interpolation=cv2.INTER_NEAREST)
JPEG, PNG, HIGHER = (
    cv2.imencode(suffix, pixels)[1].tobytes()
    for suffix, pixels in ((".jpg", PICTURE), (".png", PICTURE), (".jpg", LARGE))
)
TURNED = JPEG[:2] + segment(0xE1, b"Exif\0\0" + exif(6)) + JPEG[2:]
FILES = (JPEG, PNG, TURNED, HIGHER)


def tensor(files: Sequence[bytes]) -> bytes:
    """As Triton's clients write BYTES."""
    return b"".join(struct.pack("<I", len(file)) + file for file in files)


def wanted(bundle: Path, files: Sequence[bytes]) -> bytes:
    """What the library gives for the pixels that calibration decodes."""
    with EmbeddedNetwork(bundle) as network, network.context(max_size=(2300, 3840)) as context:
        frames = [EmbeddedFrame("RGB", (decode(file, 3),)) for file in files]
        return b"".join(context.run_frame(frame).tobytes() for frame in frames)


def ask(service: Service, body: bytes, header: int) -> tuple[int, bytes]:
    """Return the status, and the tensor behind the JSON or, where there is none, the body."""
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    told = {"Inference-Header-Content-Length": str(header)}
    connection.request("POST", "/v2/models/tiny/infer", body, told)
    answer = connection.getresponse()
    found = answer.read()
    connection.close()
    return answer.status, found[int(answer.headers.get("Inference-Header-Content-Length", 0)) :]


def asked(service: Service, data: bytes, count: int, /, **changes: object) -> tuple[int, bytes]:
    """Ask with an input "picture"."""
    form: dict[str, object] = {"name": "picture", "datatype": "BYTES", "shape": [count]}
    form |= {"parameters": {"binary_data_size": len(data)}, **changes}
    head = json.dumps({"inputs": [form], "parameters": {"binary_data_output": True}}).encode()
    return ask(service, head + data, len(head))


def test_files_of_any_size_give_the_logits_of_their_pixels(service: Service, tiny_bundle: Path) -> None:
    assert asked(service, tensor(FILES), len(FILES)) == (200, wanted(tiny_bundle, FILES))
    for file in FILES:  # alone, as the whole body
        status, found = ask(service, file, 0)
        (output,) = json.loads(found)["outputs"]
        assert (status, np.array(output["data"], np.float32).tobytes()) == (200, wanted(tiny_bundle, [file]))


def test_many_clients_at_once_get_their_own_answers(service: Service, tiny_bundle: Path) -> None:
    answers = {file: wanted(tiny_bundle, [file]) for file in FILES}
    wrong: list[int] = []

    def client(n: int) -> None:
        for k in range(n, n + 8):
            file = FILES[k % len(FILES)]
            if asked(service, tensor([file]), 1) != (200, answers[file]):
                wrong.append(k)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


TWO = tensor([JPEG, PNG])
WRONG: dict[str, tuple[bytes, int, dict[str, object], str]] = {
    "cut off": (tensor([JPEG[:-99]]), 1, {}, "cut off"),
    "no picture": (tensor([b"GIF89a"]), 1, {}, "neither JPEG nor PNG"),
    "an empty file": (tensor([b""]), 1, {}, "neither JPEG nor PNG"),
    "no length": (JPEG, 1, {}, "longer than the data"),
    "more files than data": (TWO, 3, {}, "fewer files"),
    "half a length": (TWO + b"\1\0", 3, {}, "fewer files"),
    "more data than files": (TWO, 1, {}, "more data"),
    "no files": (TWO, 0, {}, "from 1 to 64"),
    "65 files": (TWO, 65, {}, "from 1 to 64"),
    "rows of files": (TWO, 2, {"shape": [2, 1]}, "from 1 to 64"),
    "UINT8": (TWO, 2, {"datatype": "UINT8"}, "has to be BYTES"),
    "BYTES for images": (TWO, 2, {"name": "image"}, "has to be UINT8"),
    "text": (b"", 1, {"parameters": {}, "data": ["x"]}, "follow the JSON"),
    "shared memory": (
        TWO,
        2,
        {"parameters": {"shared_memory_region": "r", "shared_memory_byte_size": 9}},
        "follow the JSON",
    ),
    "another size": (TWO, 2, {"parameters": {"binary_data_size": len(TWO) - 1}}, "not the size"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_right_is_refused_in_words(service: Service, name: str) -> None:
    data, count, changes, said = WRONG[name]
    status, found = asked(service, data, count, **changes)
    assert status == 400
    assert said in json.loads(found)["error"]
    status, found = asked(service, tensor([JPEG]), 1)
    assert status == 200


def processor_ticks(service: Service) -> list[int]:
    """Of each thread that is there: what it took so far, in user mode."""
    tasks = Path(f"/proc/{service.process.pid}/task").glob("*/stat")
    return [int(one.read_text().rpartition(")")[2].split()[11]) for one in tasks]


def test_the_workers_share_the_files_of_a_request(service: Service, tiny_bundle: Path) -> None:
    """One thread that decodes for all would have nearly all ticks."""
    noise = np.random.default_rng(1).integers(0, 256, (700, 900, 3), np.uint8)
    files = [cv2.imencode(".png", noise)[1].tobytes()] * 12
    assert asked(service, tensor(files), len(files)) == (200, wanted(tiny_bundle, files[:1]) * len(files))
    least, most = sorted(processor_ticks(service))[-2:]
    assert least > most / 8


@pytest.mark.slow
def test_large_files_wait_for_each_others_memory(tiny_bundle: Path) -> None:
    """Eight pictures that take 130 MiB each, in eight workers: half a gigabyte has room for a few."""
    plain = np.full((3400, 4200, 3), 200, np.uint8)
    how = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    files = [cv2.imencode(".jpg", plain, how)[1].tobytes()] * 8
    program = COMPILED_SERVICE.folder(platform.machine()) / SERVICE
    with serving(program, tiny_bundle, ["--workers", "8"]) as service:
        assert asked(service, tensor(files), len(files))[0] == 200
        status = Path(f"/proc/{service.process.pid}/status").read_text()
    (most,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert most < 600 << 10
