"""Images and logits through shared memory: the same bits, within its bounds, whatever clients do."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from tests.targets.runtime.serve.conftest import Service, serving

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 24, 20, 3), np.uint8)
PREFIX = f"edgec-test-{os.getpid()}-"
PAGE = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class Client:
    """One connection."""

    connection: HTTPConnection

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and answer."""
        self.connection.request(method, path, "" if body is None else json.dumps(body))
        answer = self.connection.getresponse()
        told = answer.read()
        return answer.status, json.loads(told) if told else None

    def register(self, name: str, **body: object) -> str:
        """Return what is wrong; "" if nothing is."""
        status, told = self.ask("POST", f"/v2/systemsharedmemory/region/{name}/register", body)
        assert status == (400 if told else 200)
        return str(told["error"]) if told else ""

    def infer(self, parameters: dict[str, object], images: int = 1) -> tuple[int, Any]:
        """Ask for the logits of images in the region "in"."""
        size = images * IMAGES[0].nbytes
        told = {"shared_memory_region": "in", "shared_memory_byte_size": size, **parameters}
        image = {"name": "image", "datatype": "UINT8", "shape": [images, 24, 20, 3], "parameters": told}
        return self.ask("POST", "/v2/models/tiny/infer", {"inputs": [image]})


@pytest.fixture
def served(service_program: Path, tiny_bundle: Path) -> Iterator[Service]:
    with serving(service_program, tiny_bundle, ["--shared-memory", PREFIX]) as running:
        yield running


@pytest.fixture
def client(served: Service) -> Iterator[Client]:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=60)
    yield Client(connection)
    connection.close()


@pytest.fixture
def memory() -> Iterator[shared_memory.SharedMemory]:
    """Three pages, with images at the end."""
    made = shared_memory.SharedMemory(PREFIX + "images", create=True, size=3 * PAGE)
    try:
        assert made.buf is not None
        made.buf[-IMAGES.nbytes :] = IMAGES.tobytes()
        yield made
    finally:
        made.close()
        made.unlink()


def logits(bundle: Path) -> np.ndarray:
    with EmbeddedNetwork(bundle) as network, network.context() as context:
        return np.stack([context.run(image) for image in IMAGES])


def test_tritons_client_gets_the_logits_through_its_shared_memory(
    service_program: Path, tiny_bundle: Path, triton: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "in.npz", images=IMAGES)
    script = [sys.executable, str(Path(__file__).parent / "triton_memory_client.py")]
    with serving(service_program, tiny_bundle, ["--shared-memory", "edgec-test-"]) as running:
        done = subprocess.run(
            [*script, running.address, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")],
            env={"PYTHONPATH": str(triton)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        assert found["answer"].tobytes() == logits(tiny_bundle).tobytes()
        assert found["memory"].tobytes() == logits(tiny_bundle).tobytes()


def test_a_frame_comes_at_an_offset_that_no_page_begins_at(
    client: Client, memory: shared_memory.SharedMemory, tiny_bundle: Path
) -> None:
    y, uv = np.full((30, 40), 90, np.uint8), np.full((15, 20, 2), 100, np.uint8)
    data = y.tobytes() + uv.tobytes()
    assert memory.buf is not None
    memory.buf[PAGE + 9 : PAGE + 9 + len(data)] = data
    assert client.register("in", key=memory.name, offset=PAGE + 7, byte_size=len(data) + 2) == ""
    where = {"shared_memory_region": "in", "shared_memory_offset": 2, "shared_memory_byte_size": len(data)}
    frame = {"name": "frame", "datatype": "UINT8", "shape": [len(data)], "parameters": where}
    meaning = {"pixels": "NV12", "matrix": "BT601", "range": "FULL", "height": 30, "width": 40}
    status, told = client.ask("POST", "/v2/models/tiny/infer", {"inputs": [frame], "parameters": meaning})
    assert status == 200, told
    with EmbeddedNetwork(tiny_bundle) as network, network.context() as context:
        wanted = context.run_frame(EmbeddedFrame("NV12", (y, uv), "BT601", "FULL"))
    assert np.array(told["outputs"][0]["data"], np.float32).tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key": "/etc/passwd"}, "not a name for shm_open"),
        ({"key": "../etc/passwd"}, "not a name for shm_open"),
        ({"key": "//PREFIX-images"}, "not a name for shm_open"),
        ({"key": ".."}, "not a name for shm_open"),
        ({"key": ""}, "not a name for shm_open"),
        ({"key": 7}, "needs a key"),
        ({"key": "x" * 300}, "needs a key"),
        ({"key": "other-PREFIX-"}, "does not take regions with such a key"),
        ({"key": "PREFIX-none"}, "there is no such shared memory"),
        ({"byte_size": 3 * PAGE + 1}, "behind the end"),
        ({"offset": 2}, "behind the end"),
        ({"offset": 10**17}, "behind the end"),
        ({"offset": 10**17, "byte_size": 10**17}, "behind the end"),
        ({"offset": 2**63 - 1}, "offset one from 0"),
        ({"offset": 2**64}, "offset one from 0"),
        ({"offset": -1}, "offset one from 0"),
        ({"byte_size": 0}, "byte_size is a number"),
        ({"byte_size": 2**63 - 1}, "byte_size is a number"),
        ({"byte_size": None}, "byte_size is a number"),
    ],
    ids=str,
)
def test_a_region_has_to_lie_in_shared_memory(
    client: Client, memory: shared_memory.SharedMemory, change: dict[str, object], said: str
) -> None:
    right = {"key": memory.name, "offset": 0, "byte_size": 3 * PAGE}
    if "PREFIX-" in str(change.get("key")):  # names this process, so no test is called so
        change = {"key": str(change["key"]).replace("PREFIX-", PREFIX)}
    assert said in client.register("in", **{**right, **change})
    assert client.ask("GET", "/v2/systemsharedmemory/status") == (200, [])
    assert client.register("in", **right) == ""


def test_a_region_has_a_name_of_its_own(client: Client, memory: shared_memory.SharedMemory) -> None:
    assert client.register("in", key=memory.name, byte_size=PAGE) == ""
    assert "already" in client.register("in", key=memory.name, byte_size=PAGE)
    assert client.ask("GET", "/v2/systemsharedmemory/region/other/status")[0] == 400
    assert "no slash" in client.register("a%2Fb", key=memory.name, byte_size=PAGE)
    assert "no slash" in client.register("", key=memory.name, byte_size=PAGE)
    for n in range(63):
        assert client.register(f"{n}", key=memory.name, byte_size=PAGE) == ""
    assert "64 regions" in client.register("more", key=memory.name, byte_size=PAGE)
    assert client.ask("POST", "/v2/systemsharedmemory/unregister") == (200, None)
    assert client.register("more", key=memory.name, byte_size=PAGE) == ""


SIZE = IMAGES[0].nbytes


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"shared_memory_region": "none"}, "no such region"),
        ({"shared_memory_region": 1}, "shared_memory_region is not a name"),
        ({"shared_memory_region": "x" * 300}, "shared_memory_region is not a name"),
        ({"shared_memory_offset": 2 * SIZE + 1}, "or it is smaller"),
        ({"shared_memory_offset": 10**17}, "or it is smaller"),
        ({"shared_memory_offset": 2**63 - 1}, "shared_memory_offset is not a number"),
        ({"shared_memory_offset": -1}, "shared_memory_offset is not a number"),
        ({"shared_memory_byte_size": SIZE - 1}, "is not the size of the input"),
        ({"shared_memory_byte_size": SIZE + 1}, "is not the size of the input"),
        ({"shared_memory_byte_size": None}, "is not the size of the input"),
        ({"binary_data_size": SIZE}, "has no other data"),
    ],
    ids=str,
)
def test_an_input_has_to_lie_in_its_region(
    client: Client, memory: shared_memory.SharedMemory, parameters: dict[str, object], said: str
) -> None:
    assert client.register("in", key=memory.name, offset=3 * PAGE - 3 * SIZE, byte_size=3 * SIZE) == ""
    status, told = client.infer(parameters)
    assert (status, said in told["error"]) == (400, True), told
    assert client.infer({"shared_memory_offset": 2 * SIZE})[0] == 200


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"shared_memory_region": "none"}, "no such region"),
        ({"shared_memory_byte_size": 27}, "too small for the output"),
        ({"shared_memory_offset": 1}, "or it is smaller"),
        ({"classification": 2}, "classes are not written"),
    ],
    ids=str,
)
def test_an_output_has_to_lie_in_its_region(
    client: Client, memory: shared_memory.SharedMemory, parameters: dict[str, object], said: str
) -> None:
    assert client.register("out", key=memory.name, byte_size=28) == ""
    told = {"shared_memory_region": "out", "shared_memory_byte_size": 28, **parameters}
    image = {"name": "image", "datatype": "UINT8", "shape": [24, 20, 3], "data": IMAGES[0].tolist()}
    asked = {"inputs": [image], "outputs": [{"name": "logits", "parameters": told}]}
    status, answer = client.ask("POST", "/v2/models/tiny/infer", asked)
    assert (status, said in answer["error"]) == (400, True), answer


@pytest.mark.parametrize("left", [0, 1, PAGE, 3 * PAGE - 1])
def test_memory_that_became_shorter_is_refused(
    client: Client, memory: shared_memory.SharedMemory, left: int
) -> None:
    assert client.register("in", key=memory.name, byte_size=3 * PAGE) == ""
    assert client.infer({"shared_memory_offset": 3 * PAGE - SIZE})[0] == 200
    os.truncate(f"/dev/shm/{memory.name}", left)  # noqa: S108 - it is where shared memory is
    status, told = client.infer({"shared_memory_offset": 3 * PAGE - SIZE})
    assert (status, "has become shorter" in told["error"]) == (400, True)
    assert client.ask("GET", "/v2/health/live")[0] == 200


def test_memory_that_becomes_shorter_meanwhile_ends_nothing(
    served: Service, client: Client, memory: shared_memory.SharedMemory, tiny_bundle: Path
) -> None:
    """The file is cut and grown again while images of it run: each answer is right, or a refusal."""
    assert client.register("in", key=memory.name, byte_size=3 * PAGE) == ""
    assert memory.buf is not None
    path, whole = f"/dev/shm/{memory.name}", bytes(memory.buf)  # noqa: S108 - the same
    wanted, ended, cuts = logits(tiny_bundle), threading.Event(), 0

    def cut() -> None:
        nonlocal cuts
        while not ended.is_set():
            os.truncate(path, PAGE)
            with Path(path).open("r+b") as file:
                file.write(whole)
            cuts += 1

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        for n in range(300):
            status, told = client.infer({"shared_memory_offset": 3 * PAGE - IMAGES.nbytes}, 5)
            assert status in (200, 400), told
            if status == 400:
                client.ask("POST", "/v2/systemsharedmemory/region/in/unregister")
                refusal = client.register("in", key=memory.name, byte_size=3 * PAGE)
                assert refusal == "" or "behind the end" in refusal or "already" in refusal
            assert n < 299 or served.process.poll() is None
    finally:
        ended.set()
        cutter.join()
    client.ask("POST", "/v2/systemsharedmemory/unregister")
    assert cuts
    assert client.register("in", key=memory.name, byte_size=3 * PAGE) == ""
    status, told = client.infer({"shared_memory_offset": 3 * PAGE - IMAGES.nbytes}, 5)
    assert np.array(told["outputs"][0]["data"], np.float32).tobytes() == wanted.tobytes()


def test_a_region_that_is_unregistered_stays_for_those_that_use_it(
    served: Service, client: Client, memory: shared_memory.SharedMemory, tiny_bundle: Path
) -> None:
    """Others register and unregister meanwhile: each answer has the right bits, or names the region."""
    wanted, wrong = logits(tiny_bundle).tobytes(), []

    def registers() -> None:
        connection = HTTPConnection("127.0.0.1", served.port, timeout=60)
        for _ in range(60):
            Client(connection).register("in", key=memory.name, byte_size=3 * PAGE)
            Client(connection).ask("POST", "/v2/systemsharedmemory/region/in/unregister")
        connection.close()

    other = threading.Thread(target=registers)
    other.start()
    for _ in range(60):
        status, told = client.infer({"shared_memory_offset": 3 * PAGE - IMAGES.nbytes}, 5)
        if status == 200:
            if np.array(told["outputs"][0]["data"], np.float32).tobytes() != wanted:
                wrong.append("bits")
        elif "no such region" not in told["error"]:
            wrong.append(told["error"])
    other.join()
    assert wrong == []


def test_without_the_option_there_is_no_shared_memory(service: Service) -> None:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    client = Client(connection)
    assert "not offered" in client.register("in", key="x", byte_size=1)
    assert "not offered" in client.infer({})[1]["error"]
    assert "system_shared_memory" not in client.ask("GET", "/v2")[1]["extensions"]
    connection.close()
