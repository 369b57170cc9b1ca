"""Whatever is sent to edgec-serve, it answers with a status or hangs up, and its memory stays right."""

import json
import random
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from targets.tvm.cpu_target import host_isa
from tests.targets.needs import or_skip
from tests.targets.runtime.libedgec.tiny_networks import PackedNetwork, write_overflowing
from tests.targets.runtime.serve.conftest import Service, serving

GET = b"GET /v2 HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: localhost\r\n"


def send(service: Service, data: bytes) -> bytes:
    """Return all that comes back, after our end of the connection is closed."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while more := connection.recv(65536):
            found += more
    return found


def status(service: Service, data: bytes) -> int:
    found = send(service, data)
    return int(found.split(b" ")[1]) if found else 0


TWO_WAYS = {
    "no host": b"GET /v2 HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: localhost\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "chunked": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and a length": POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
    "a length with a sign": POST + b"Content-Length: +1\r\n\r\nx",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 1, 1\r\n\r\nx",
    "a space before the colon": GET + b"X : 1\r\n\r\n",
    "a folded line": GET + b"X: 1\r\n 2\r\n\r\n",
    "a bare line feed": GET + b"X: 1\nY: 2\r\n\r\n",
    "a zero": GET + b"X: \0\r\n\r\n",
    "another request behind it": GET + b"\r\n" + GET + b"\r\n",
    "no path": b"GET v2 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half an escape": b"GET /v2/%4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an escaped zero": b"GET /v2%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "three words too many": b"GET /v2 x HTTP/1.1\r\nHost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("name", TWO_WAYS)
def test_what_can_be_read_in_two_ways_is_refused(service: Service, name: str) -> None:
    found = send(service, TWO_WAYS[name])
    assert found.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close\r\n" in found
    assert found.count(b"HTTP/1.1 ") == 1


def test_sizes_have_bounds(service: Service) -> None:
    assert status(service, GET + b"X: " + b"a" * 20000 + b"\r\n\r\n") == 431
    assert status(service, POST + b"Content-Length: 67108865\r\n\r\n") == 413
    assert status(service, POST + b"Content-Length: 9999999999\r\n\r\n") == 413
    assert status(service, b"GET /v2 HTTP/2.0\r\nHost: localhost\r\n\r\n") == 505
    assert status(service, POST + b"Content-Encoding: gzip\r\nContent-Length: 0\r\n\r\n") == 415
    assert status(service, POST + b"Content-Length: 100\r\n\r\ncut off") == 0
    assert status(service, GET + b"\r\n") == 200


def test_pages_of_other_sites_get_nothing(service: Service) -> None:
    assert status(service, GET + b"Origin: http://localhost\r\n\r\n") == 403
    assert status(service, GET + b"Sec-Fetch-Site: cross-site\r\n\r\n") == 403
    for host in (b"evil.example", b"localhost.evil.example", b"127.0.0.1:80x"):
        assert status(service, b"GET /v2 HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == 403


IMAGE = {"name": "image", "datatype": "UINT8", "shape": [1, 24, 20, 3], "data": [0] * 1440}
FRAME = {"name": "frame", "datatype": "UINT8", "shape": [4], "data": [0] * 4}
WRONG: dict[str, object] = {
    "a list": [],
    "no inputs": {},
    "inputs are a number": {"inputs": 7},
    "two inputs": {"inputs": [IMAGE, IMAGE]},
    "another name": {"inputs": [{**IMAGE, "name": "x" * 1000}]},
    "floats": {"inputs": [{**IMAGE, "datatype": "FP32"}]},
    "numbers with a fraction": {"inputs": [{**IMAGE, "data": [0.5] * 1440}]},
    "256": {"inputs": [{**IMAGE, "data": [256] * 1440}]},
    "one too few": {"inputs": [{**IMAGE, "data": [0] * 1439}]},
    "one too many": {"inputs": [{**IMAGE, "data": [0] * 1441}]},
    "no data": {"inputs": [{**IMAGE, "data": None}]},
    "another shape": {"inputs": [{**IMAGE, "shape": [1, 20, 24, 3]}]},
    "no images": {"inputs": [{**IMAGE, "shape": [0, 24, 20, 3], "data": []}]},
    "65 images": {"inputs": [{**IMAGE, "shape": [65, 24, 20, 3]}]},
    "a long shape": {"inputs": [{**IMAGE, "shape": [1] * 100}]},
    "a huge shape": {"inputs": [{**IMAGE, "shape": [2**62, 24, 20, 3]}]},
    "bytes that are not there": {
        "inputs": [{**IMAGE, "data": None, "parameters": {"binary_data_size": 1440}}]
    },
    "shared memory": {"inputs": [{k: v for k, v in IMAGE.items() if k != "data"}]},
    "another output": {"inputs": [IMAGE], "outputs": [{"name": "x"}]},
    "8 of 7 classes": {
        "inputs": [IMAGE],
        "outputs": [{"name": "logits", "parameters": {"classification": 8}}],
    },
    "a frame without pixels": {"inputs": [FRAME], "parameters": {"height": 2, "width": 2}},
    "YUV without a matrix": {"inputs": [FRAME], "parameters": {"pixels": "NV12", "height": 2, "width": 2}},
    "a frame of another size": {"inputs": [FRAME], "parameters": {"pixels": "GRAY", "height": 3, "width": 2}},
    "a huge frame": {"inputs": [FRAME], "parameters": {"pixels": "RGBA", "height": 16384, "width": 16384}},
}


@pytest.mark.parametrize("name", WRONG)
def test_malformed_requests_get_a_named_error(service: Service, name: str) -> None:
    body = json.dumps(WRONG[name]).encode()
    found = send(service, POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    head, _, told = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), found
    assert len(json.loads(told)["error"]) > 10


def test_deeply_nested_json_is_refused(service: Service) -> None:
    body = b'{"inputs":' + b"[" * 100000 + b"]" * 100000 + b"}"
    assert status(service, POST + b"Content-Length: %d\r\n\r\n" % len(body) + body) == 400


@pytest.mark.parametrize("length", [b"0", b"1441", b"99999999999", b"-1", b"x", b"100000000"])
def test_wrong_lengths_of_json_are_refused(service: Service, length: bytes) -> None:
    told = b"Inference-Header-Content-Length: " + length + b"\r\nContent-Length: 1440\r\n\r\n"
    assert status(service, POST + told + b"a" * 1440) == 400


def test_changed_requests_never_harm_the_memory(service: Service) -> None:
    size = {"binary_data_size": 1440}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 24, 20, 3], "parameters": size}
    outputs = [{"name": "logits", "parameters": {"binary_data": True, "classification": 3}}]
    told = json.dumps({"id": "a\\u00e9", "inputs": [image], "outputs": outputs}).encode()
    head = b"Inference-Header-Content-Length: %d\r\nContent-Length: %d\r\n\r\n" % (
        len(told),
        len(told) + 1440,
    )
    good = POST + head + told + np.zeros(1440, np.uint8).tobytes()
    assert status(service, good) == 200
    chance = random.Random(0)
    for _ in range(300):
        bad = bytearray(good[:-1440])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(bad))
            if chance.random() < 0.3:
                del bad[at : at + chance.randint(1, 20)]
            else:
                bad[at] = chance.randrange(256)
        assert status(service, bytes(bad) + good[-1440:]) in (0, 200, 400, 403, 404, 413, 415, 505)
    assert status(service, good) == 200
    assert service.process.poll() is None


def test_a_full_house_lets_newcomers_in(service: Service) -> None:
    """64 silent connections keep others out for a moment only."""
    silent = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(64)]
    found = 0
    while found != 200:  # or the test's own limit of time ends it
        found = status_or_hung_up(service)
        time.sleep(0.1)
    for one in silent:
        one.close()


def status_or_hung_up(service: Service) -> int:
    try:
        return status(service, GET + b"Connection: close\r\n\r\n")
    except OSError:
        return 0


@pytest.mark.parametrize(
    "output", [{}, {"parameters": {"classification": 2}}, {"parameters": {"binary_data": True}}], ids=str
)
def test_logits_that_are_not_numbers_are_an_error(
    service_program: Path, tmp_path: Path, output: dict[str, object]
) -> None:
    """JSON has no word for them, no class follows from them, and dark pictures have their answer."""
    engine = write_overflowing(tmp_path, or_skip(host_isa))
    bundle = PackedNetwork(engine).packed(tmp_path / "overflowing.edgec")
    with serving(service_program, bundle) as service:
        answers = {
            light: infer(
                service,
                {
                    "inputs": [
                        {
                            "name": "image",
                            "datatype": "UINT8",
                            "shape": [len(light), 24, 20, 3],
                            "data": [one for one in light for _ in range(24 * 20 * 3)],
                        }
                    ],
                    "outputs": [{"name": "logits", **output}],
                },
            )
            for light in ((0,), (0, 255))
        }
        metrics = send(service, GET.replace(b"/v2", b"/metrics") + b"\r\n")
    assert answers[0,].startswith(b"HTTP/1.1 200 ")
    head, body = answers[0, 255].split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 500 ")
    wrong = "the engine gave 7 of 7 logits that are not numbers, so there is no answer"
    assert json.loads(body) == {"error": wrong}
    assert b"\nedgec_images_failed_total 1\n" in metrics


def infer(service: Service, question: object) -> bytes:
    """Return the whole answer to a request."""
    body = json.dumps(question).encode()
    head = POST + b"Content-Length: %d\r\n\r\n" % len(body)
    return send(service, head + body)
