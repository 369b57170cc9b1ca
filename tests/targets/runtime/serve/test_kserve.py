"""edgec-serve speaks KServe v2: Triton's own client gets libedgec's logits, bit for bit."""

import json
import subprocess
import sys
import threading
import urllib.request
from http.client import HTTPConnection
from pathlib import Path

import cv2
import numpy as np
import pytest

from targets.runtime.embedded_frame import PIXELS
from targets.runtime.embedded_network import EmbeddedFrame, EmbeddedNetwork
from targets.runtime.preprocess import decode
from tests.targets.runtime.libedgec.camera_scenes import Scene
from tests.targets.runtime.serve.conftest import Service, serving
from tests.targets.runtime.serve.frame_request import bytes_of, parameters_of, request_of

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 24, 20, 3), np.uint8)


def logits(bundle: Path, images: np.ndarray) -> np.ndarray:
    with EmbeddedNetwork(bundle) as network, network.context() as context:
        return np.stack([context.run(image) for image in images])


def test_tritons_client_gets_the_logits_of_the_library(
    service: Service, tiny_bundle: Path, triton: Path, tmp_path: Path
) -> None:
    planes = RNG.integers(0, 256, (31, 46), np.uint8), RNG.integers(0, 256, (16, 23, 2), np.uint8)
    frame = np.concatenate([plane.reshape(-1) for plane in planes])
    photo = cv2.resize(IMAGES[0], (300, 200), interpolation=cv2.INTER_NEAREST)
    files = {kind: cv2.imencode(f".{kind}", photo)[1] for kind in ("jpeg", "png")}
    arrays = {"images": IMAGES, "frame": frame, "size": np.array([31, 46]), **files}
    np.savez(tmp_path / "in.npz", allow_pickle=False, **arrays)
    client = [sys.executable, str(Path(__file__).parent / "triton_client.py"), service.address]
    done = subprocess.run(
        [*client, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")],
        env={"PYTHONPATH": str(triton)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = logits(tiny_bundle, IMAGES)
    with EmbeddedNetwork(tiny_bundle) as network, network.context() as context:
        of_frame = context.run_frame(EmbeddedFrame("NV12", planes, "BT709", "FULL"))
        names = [[name for name, _ in network.likeliest(one, 2)] for one in wanted]
        decoded = [EmbeddedFrame("RGB", (decode(file.tobytes(), 3),)) for file in files.values()]
        of_files = [context.run_frame(one) for one in decoded]
    with np.load(tmp_path / "out.npz") as found:
        assert len(found.files) == 12
        for key in found.files:
            if key.startswith("logits"):
                assert found[key].tobytes() == wanted.tobytes(), key
            elif key.startswith("classes"):
                assert [[one.split(":", 2)[2] for one in row] for row in found[key].tolist()] == names, key
        assert found["frame"].tobytes() == of_frame.tobytes()
        assert found["picture"].tobytes() == np.stack(of_files).tobytes()


def ask(service: Service, body: object) -> tuple[int, dict[str, object]]:
    connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
    connection.request("POST", "/v2/models/tiny/infer", json.dumps(body))
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


def test_frames_of_all_kinds_with_strides_and_crops_give_the_logits_of_the_library(
    service: Service, tiny_bundle: Path
) -> None:
    rng = np.random.default_rng(2)
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    with EmbeddedNetwork(tiny_bundle) as network, network.context() as context:
        for pixels in PIXELS:
            for padding, crop in (
                (0, (0, 0, 0, 0)),
                (0, (5, 3, 20, 30)),
                (6, (1, 2, 0, 0)),
                (3, (0, 0, 31, 46)),
            ):
                frame = Scene(pixels, "BT709", True, 31, 46, padding, crop).frame(rng)
                connection.request("POST", "/v2/models/tiny/infer", *request_of(frame))
                answer = connection.getresponse()
                found = answer.read()
                assert answer.status == 200, (pixels, padding, crop, found)
                logits_found = found[int(answer.headers["Inference-Header-Content-Length"]) :]
                assert logits_found == context.run_frame(frame).tobytes(), (pixels, padding, crop)
    connection.close()


FRAME = Scene("NV12", "BT709", True, 31, 46, 6, (5, 3, 20, 30)).frame(np.random.default_rng(3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stride": 45}, "stride is not from the bytes of a row"),
        ({"stride": 53}, "shape of frame"),
        ({"stride": 2**40}, "stride is not from the bytes of a row"),
        ({"stride": "52"}, "stride is not from the bytes of a row"),
        ({"chroma_stride": 45}, "chroma_stride is not from the bytes of a row"),
        ({"pixels": "GRAY"}, "only NV12 and I420 have a chroma_stride"),
        ({"top": -1}, "numbers from 0 to 16384"),
        ({"crop_width": 1.5}, "numbers from 0 to 16384"),
        ({"crop_height": 27}, "is not inside the frame"),
        ({"left": 46}, "is not inside the frame"),
    ],
    ids=str,
)
def test_strides_and_crops_that_cannot_be_right_are_refused(
    service: Service, changes: dict[str, object], said: str
) -> None:
    data = bytes_of(FRAME)
    frame = {"name": "frame", "datatype": "UINT8", "shape": [len(data)], "data": list(data)}
    told: dict[str, object] = {**parameters_of(FRAME), **changes}
    status, answer = ask(service, {"inputs": [frame], "parameters": told})
    assert (status, said in str(answer["error"])) == (400, True), answer


def test_json_alone_gives_the_same_floats(service: Service, tiny_bundle: Path) -> None:
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 24, 20, 3], "data": IMAGES[:1].tolist()}
    status, answer = ask(service, {"inputs": [image]})
    assert status == 200
    outputs = answer["outputs"]
    assert isinstance(outputs, list)
    found = np.array(outputs[0]["data"], np.float32)
    assert found.tobytes() == logits(tiny_bundle, IMAGES[:1]).tobytes()


def test_many_clients_at_once_get_their_own_answers(service: Service, tiny_bundle: Path) -> None:
    wanted = logits(tiny_bundle, IMAGES)
    wrong: list[int] = []

    def client(n: int) -> None:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
        for k in range(n, n + 20):
            image = IMAGES[k % 5]
            size = {"binary_data_size": image.nbytes}
            told = {"name": "image", "datatype": "UINT8", "shape": list(image.shape), "parameters": size}
            head = json.dumps({"inputs": [told], "parameters": {"binary_data_output": True}}).encode()
            headers = {"Inference-Header-Content-Length": str(len(head))}
            connection.request("POST", "/v2/models/tiny/infer", head + image.tobytes(), headers)
            answer = connection.getresponse()
            body = answer.read()
            if body[int(answer.headers["Inference-Header-Content-Length"]) :] != wanted[k % 5].tobytes():
                wrong.append(k)
        connection.close()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    with urllib.request.urlopen(f"http://{service.address}/metrics") as answer:
        told = answer.read().decode()
    assert 'edgec_requests_total{code="200"} 160\n' in told
    assert "edgec_images_total 160\n" in told
    assert 'edgec_request_duration_seconds_bucket{le="+Inf"} 160\n' in told


def test_others_than_this_machine_need_the_token(service_program: Path, tiny_bundle: Path) -> None:
    outside = ["--host", "0.0.0.0"]  # noqa: S104 - it is what is tested
    refused = subprocess.run(
        [service_program, tiny_bundle, *outside], capture_output=True, text=True, check=False, env={}
    )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "EDGEC_TOKEN" in refused.stderr
    secret = "x" * 16
    with serving(service_program, tiny_bundle, outside, {"EDGEC_TOKEN": secret}) as service:
        found = []
        for given in ("", "Bearer wrong", f"Bearer {secret}x", f"Bearer {secret}"):
            connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
            connection.request("GET", "/v2", headers={"Authorization": given})
            found.append(connection.getresponse().status)
            connection.close()
        assert found == [403, 403, 403, 200]
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/v2/health/ready") as answer:
            assert answer.status == 200
    with (
        serving(service_program, tiny_bundle, [*outside, "--without-token"]) as service,
        urllib.request.urlopen(f"http://127.0.0.1:{service.port}/v2") as answer,
    ):
        assert answer.status == 200


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "65536"], "usage:"),
        (["--workers", "0"], "usage:"),
        (["--host", "here"], "usage:"),
        (["--sha256", "0" * 64], "sha256"),
        (["more"], "usage:"),
    ],
    ids=" ".join,
)
def test_wrong_arguments_are_named(
    service_program: Path, tiny_bundle: Path, options: list[str], said: str
) -> None:
    done = subprocess.run(
        [service_program, tiny_bundle, *options], capture_output=True, text=True, check=False, env={}
    )
    assert done.returncode in (1, 2)
    assert said in done.stderr
