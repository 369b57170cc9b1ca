"""edgec-serve and libedgec under ThreadSanitizer and AddressSanitizer, with clients of all kinds at once."""

import json
import platform
import random
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from multiprocessing import shared_memory
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.compiled_libedgec import LIBRARY, NATIVE, SOURCES, definitions
from targets.runtime.compiled_service import SERVICE, SERVICE_SOURCES
from targets.runtime.embedded_network import EmbeddedNetwork
from tests.targets.runtime.serve.conftest import COMPILER, Service, serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(COMPILER is None, reason="neither gcc nor clang is here: no sanitizers"),
]
SANITIZERS = ("thread", "address,undefined")
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 24, 20, 3), np.uint8)
ROUNDS = 12


def compiled(sanitizer: str, folder: Path, service: Sequence[Path], *options: str) -> Path:
    """Compile service and library with a sanitizer; what it finds ends the program."""
    flags = ["-std=gnu11", "-g", "-O1", "-ffp-contract=off", f"-fsanitize={sanitizer}", *options]
    includes = [f"-I{LIBRARY}", f"-I{NATIVE}", "-fno-sanitize-recover=all", *definitions(platform.machine())]
    sources = [*service, *SOURCES, "-lm", "-pthread", "-o", folder / SERVICE]
    subprocess.run([str(COMPILER), *flags, *includes, *map(str, sources)], check=True)
    return folder / SERVICE


@pytest.fixture(scope="module", params=SANITIZERS)
def sanitized(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(request.param, tmp_path_factory.mktemp("sanitized"), SERVICE_SOURCES)


def request_of(images: np.ndarray) -> tuple[bytes, dict[str, str]]:
    size = {"binary_data_size": images.nbytes}
    told = {"name": "image", "datatype": "UINT8", "shape": list(images.shape), "parameters": size}
    head = json.dumps({"inputs": [told], "parameters": {"binary_data_output": True}}).encode()
    return head + images.tobytes(), {"Inference-Header-Content-Length": str(len(head))}


def connected(service: Service) -> HTTPConnection:
    return HTTPConnection("127.0.0.1", service.port, timeout=60)


def asks(service: Service, wanted: bytes) -> None:
    """Several images in a request, many times over one connection."""
    connection = connected(service)
    for _ in range(ROUNDS):
        connection.request("POST", "/v2/models/tiny/infer", *request_of(IMAGES))
        answer = connection.getresponse()
        found = answer.read()
        assert answer.status == 200
        assert found[int(answer.headers["Inference-Header-Content-Length"]) :] == wanted
    connection.close()


def looks(service: Service, _wanted: bytes) -> None:
    """Reads the numbers while they change."""
    for path in ("/metrics", "/v2/models/tiny/stats", "/v2/health/ready", "/v2/models/tiny", "/none") * 3:
        connection = connected(service)
        connection.request("GET", path)
        assert connection.getresponse().status == (404 if path == "/none" else 200)
        connection.close()


def is_refused(service: Service, _wanted: bytes) -> None:
    """Images whose size is wrong."""
    connection = connected(service)
    for _ in range(ROUNDS):
        connection.request("POST", "/v2/models/tiny/infer", *request_of(IMAGES[:, 1:]))
        answer = connection.getresponse()
        assert (answer.status, b"error" in answer.read()) == (400, True)
    connection.close()


def hangs_up(service: Service, _wanted: bytes) -> None:
    """Goes in the middle of a request, or before it reads the answer."""
    body, headers = request_of(IMAGES)
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    start = (
        f"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n{told}\r\n"
    )
    data, chance = start.encode() + body, random.Random(0)
    for _ in range(ROUNDS):
        with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
            connection.sendall(data[: chance.choice((20, len(start), len(data) - 1, len(data)))])


def shares_memory(service: Service, wanted: bytes) -> None:
    """Registers a region under a name that others use too, and asks for what is in it until it is gone."""
    memory = shared_memory.SharedMemory(create=True, size=IMAGES.nbytes)
    assert memory.buf is not None
    memory.buf[: IMAGES.nbytes] = IMAGES.tobytes()
    where = {"shared_memory_region": "some", "shared_memory_byte_size": IMAGES.nbytes}
    image = {"name": "image", "datatype": "UINT8", "shape": list(IMAGES.shape), "parameters": where}
    asked = json.dumps({"inputs": [image], "parameters": {"binary_data_output": True}})
    connection = connected(service)
    try:
        for _ in range(ROUNDS):
            region = json.dumps({"key": memory.name, "byte_size": IMAGES.nbytes})
            for path, body in (
                ("systemsharedmemory/region/some/register", region),
                ("models/tiny/infer", asked),
                ("systemsharedmemory/region/some/unregister", ""),
            ):
                connection.request("POST", f"/v2/{path}", body)
                answer = connection.getresponse()
                found = answer.read()
                assert answer.status in (200, 400)
                if path.endswith("infer") and answer.status == 200:
                    assert found[int(answer.headers["Inference-Header-Content-Length"]) :] == wanted
    finally:
        connection.close()
        memory.close()
        memory.unlink()


def sends_pictures(service: Service, _wanted: bytes) -> None:
    """Files in a request, which the workers decode at the same time; the last one is damaged, or none is."""
    connection = connected(service)
    file = cv2.imencode(".jpg", np.full((90, 120, 3), 9, np.uint8))[1].tobytes()
    for k in range(ROUNDS):
        files = [file, file, file[: len(file) - k % 2 * 9]]
        data = b"".join(len(one).to_bytes(4, "little") + one for one in files)
        told = {
            "name": "picture",
            "datatype": "BYTES",
            "shape": [3],
            "parameters": {"binary_data_size": len(data)},
        }
        head = json.dumps({"inputs": [told]}).encode()
        connection.request(
            "POST", "/v2/models/tiny/infer", head + data, {"Inference-Header-Content-Length": str(len(head))}
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.status == (400 if k % 2 else 200)
    connection.close()


CLIENTS = (asks, looks, is_refused, hangs_up, shares_memory, sends_pictures)


def failures(
    service: Service, wanted: bytes, clients: tuple[Callable[[Service, bytes], None], ...]
) -> list[str]:
    """Let all clients run at once, and return what went wrong in them."""
    failed: list[str] = []

    def run(client: Callable[[Service, bytes], None]) -> None:
        try:
            client(service, wanted)
        except (AssertionError, OSError) as error:
            failed.append(f"{client.__name__}: {error!r}")

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


@pytest.fixture(scope="module")
def wanted(tiny_bundle: Path) -> bytes:
    with EmbeddedNetwork(tiny_bundle) as network, network.context() as context:
        return b"".join(context.run(image).tobytes() for image in IMAGES)


def test_clients_of_all_kinds_race_and_leak_nothing(
    sanitized: Path, tiny_bundle: Path, wanted: bytes
) -> None:
    with serving(sanitized, tiny_bundle, ["--shared-memory", ""]) as service:
        assert failures(service, wanted, CLIENTS * 3) == []
        silent = [
            socket.create_connection(("127.0.0.1", service.port)) for _ in range(70)
        ]  # more than places
        for one in silent:
            one.close()


def test_an_end_among_requests_races_and_leaks_nothing(
    sanitized: Path, tiny_bundle: Path, wanted: bytes
) -> None:
    """SIGTERM comes while images run; who is late finds no service. What was answered is right."""
    with serving(sanitized, tiny_bundle) as service:
        timer = threading.Timer(0.2, service.process.terminate)
        timer.start()
        failed = failures(service, wanted, (asks, asks, hangs_up, looks) * 2)
        timer.join()
    assert not [one for one in failed if "AssertionError" in one]


def test_a_missing_lock_is_found(tiny_bundle: Path, wanted: bytes, tmp_path: Path) -> None:
    """The sanitizer sees through the service: without one of its locks there is a race."""
    sources = [Path(shutil.copy(one, tmp_path)) for one in SERVICE_SOURCES]
    (metrics,) = (one for one in sources if one.name == "metrics.c")
    before, name, counting = metrics.read_text().partition("void metrics_count(")
    for call in ("pthread_mutex_lock(&lock);", "pthread_mutex_unlock(&lock);"):
        counting = counting.replace(call, "", 1)
    metrics.write_text(f"{before}{name}{counting}")
    program = compiled("thread", tmp_path, sources, f"-I{SERVICE_SOURCES[0].parent}")
    # 66 is ThreadSanitizer's exit status after a report
    with pytest.raises(AssertionError, match=r"assert \(66, "), serving(program, tiny_bundle) as service:
        failures(service, wanted, CLIENTS * 3)
