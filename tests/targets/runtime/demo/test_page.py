"""The page's server: who may connect, and that it closes all connections at its end."""

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import cv2
import numpy as np
import pytest

from targets.runtime.demo import guarded_request
from targets.runtime.demo import page as page_module
from targets.runtime.demo.board import Board, Moment
from targets.runtime.demo.overlay import Overlay
from targets.runtime.demo.page import MOST_VIEWERS, Page, PageError


def moment(number: int) -> Moment:
    return Moment(number, Overlay(np.full((48, 64, 3), number, np.uint8)), {"number": number})


def refuse(precision: str) -> None:
    if precision != "int8":
        raise ValueError(f"there is no {precision}")


@contextmanager
def page(host: str = "127.0.0.1", token: str | None = None) -> Iterator[Page]:
    made = Page([Board()], refuse, host, 0, token)
    with made.serving():
        yield made


def ask(made: Page, path: str, data: bytes | None = None, **headers: str) -> Any:  # noqa: ANN401 - what urllib gives
    request = urllib.request.Request(f"http://127.0.0.1:{made.port}{path}", data, headers)
    return urllib.request.urlopen(request, timeout=10)  # noqa: S310 - of this machine


def refused(made: Page, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as error:
        ask(made, path, data, **headers)
    return error.value.code, error.value.read().decode()


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js"])
def test_the_page_comes_with_its_style_and_script_and_nothing_from_elsewhere(path: str) -> None:
    with page() as made:
        answer = ask(made, path)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        text = answer.read().decode()
        assert "http://" not in text
        assert "https://" not in text


def test_records_come_as_events_and_slow_readers_get_the_newest() -> None:
    with page() as made:
        for number in range(1, 6):
            made.boards[0].post(moment(number))
        with ask(made, "/events") as events:
            assert json.loads(events.readline().removeprefix(b"data: ")) == {"number": 5}
            events.readline()
            made.boards[0].post(moment(6))
            assert json.loads(events.readline().removeprefix(b"data: ")) == {"number": 6}


def test_pictures_come_as_parts_of_a_stream() -> None:
    with page() as made:
        made.boards[0].post(moment(7))
        with ask(made, "/picture.mjpg") as pictures:
            assert pictures.readline() == b"--picture\r\n"
            assert pictures.readline() == b"Content-Type: image/jpeg\r\n"
            size = int(pictures.readline().split()[1])
            pictures.readline()
            assert pictures.read(size).startswith(b"\xff\xd8")
            # browsers show a part when the next one begins: it begins at once
            assert [pictures.readline(), pictures.readline()] == [b"\r\n", b"--picture\r\n"]


def test_each_camera_has_its_pictures_and_records_and_others_do_not_exist() -> None:
    made = Page([Board(), Board(), Board()], refuse, "127.0.0.1", 0, None)
    with made.serving():
        for camera in range(2):
            shown = Overlay(np.zeros((48, 64 + camera, 3), np.uint8))
            made.boards[camera].post(Moment(1, shown, {"camera": camera}, camera))
        assert json.loads(ask(made, "/cameras").read()) == [{"camera": 0}, {"camera": 1}]
        with ask(made, "/events?camera=1") as events:
            assert json.loads(events.readline().removeprefix(b"data: ")) == {"camera": 1}
        picture = cv2.imdecode(np.frombuffer(ask(made, "/picture.jpg?camera=1").read(), np.uint8), 1)
        assert picture is not None
        assert picture.shape == (48, 65, 3)
        assert refused(made, "/picture.jpg?camera=2") == (503, "There is no picture yet.\n")
        for wrong in ("3", "-1", "x", "1" * 50, "%00"):
            assert refused(made, f"/events?camera={wrong}") == (404, "There is no such camera.\n")


def test_the_precision_is_switched_or_the_reason_told() -> None:
    with page() as made:
        assert ask(made, "/precision", b"int8").read() == b"ok\n"
        assert refused(made, "/precision", b"fp32") == (409, "there is no fp32\n")
        assert refused(made, "/precision", bytes(1000))[0] == 400
        assert refused(made, "/elsewhere", b"int8")[0] == 400
        assert refused(made, "/none")[0] == 404
        assert refused(made, "/../../etc/passwd")[0] == 404


def test_another_site_cannot_speak_through_the_browser_of_who_looks() -> None:
    with page() as made:
        assert refused(made, "/", Host="evil.example")[0] == 403  # a name that was pointed at 127.0.0.1
        assert refused(made, "/precision", b"int8", Origin="http://evil.example")[0] == 403
        own = f"http://127.0.0.1:{made.port}"
        assert ask(made, "/precision", b"int8", Origin=own).read() == b"ok\n"


@pytest.mark.parametrize("path", ["/picture.mjpg", "/events", "/page.js"])
def test_another_site_cannot_show_the_pictures_or_take_the_places_of_viewers(path: str) -> None:
    with page() as made:
        made.boards[0].post(moment(1))
        for site in ("cross-site", "same-site"):
            assert refused(made, path, None, **{"Sec-Fetch-Site": site, "Sec-Fetch-Dest": "image"})[0] == 403
        for site in ("same-origin", "none"):
            assert ask(made, path, None, **{"Sec-Fetch-Site": site}).status == 200


def test_another_site_may_link_to_the_page_and_not_put_it_into_a_frame() -> None:
    with page() as made:
        link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
        assert ask(made, "/", None, **link).status == 200
        assert refused(made, "/", None, **{**link, "Sec-Fetch-Dest": "iframe"})[0] == 403
        assert "frame-ancestors 'none'" in ask(made, "/").headers["Content-Security-Policy"]


@pytest.mark.parametrize("host", ["[", "evil@127.0.0.1", "127.0.0.1/x", "", "[::1", "127.0.0.1:80:80"])
def test_a_malformed_host_is_refused_and_prints_nothing(host: str, capfd: pytest.CaptureFixture[str]) -> None:
    with page() as made:
        assert refused(made, "/", Host=host)[0] in (400, 403)
        assert refused(made, "/", Origin="http://[")[0] == 400
    assert capfd.readouterr().err == ""


def test_there_are_only_so_many_connections_and_none_stays_for_headers_that_never_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(page_module, "MOST_CONNECTIONS", 5)
    monkeypatch.setattr(guarded_request, "REQUEST_SECONDS", 1.0)
    with page() as made:
        waiting = [socket.create_connection(("127.0.0.1", made.port), 30) for _ in range(8)]
        for one in waiting:
            with suppress(OSError):  # some were closed at once
                one.sendall(b"GET / HTTP/1.1\r\nX: ")
        for one in waiting:
            with suppress(OSError):
                assert one.recv(1) == b""  # finally all of them
            one.close()
        assert ask(made, "/").status == 200


def test_connections_that_never_ask_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_CONNECTIONS", 3)
    with page() as made, ExitStack() as held:
        for _ in range(10):
            one = held.enter_context(socket.create_connection(("127.0.0.1", made.port), 30))
            one.sendall(b"GET / HTTP/1.1\r\nX: ")
        assert ask(made, "/").status == 200


def test_viewers_that_take_nothing_do_not_keep_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "MOST_VIEWERS", 2)
    monkeypatch.setattr(page_module, "PATIENCE_SECONDS", 0.0)
    noise = np.random.default_rng(0).integers(0, 256, (960, 1280, 3), np.uint8)
    with page() as made, ExitStack() as held:
        made.boards[0].post(Moment(1, Overlay(noise), {}))
        for _ in range(4):
            one = held.enter_context(socket.create_connection(("127.0.0.1", made.port), 30))
            one.sendall(b"GET /picture.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert one.recv(13) == b"HTTP/1.1 200 "
            taken = b""
            while b"\xff\xd8" not in taken:  # a JPEG begins: it is on its way, and its rest is never taken
                taken += one.recv(1 << 12)
        assert ask(made, "/events").status == 200


FORGED = b"POST /precision HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nint8"


@pytest.mark.parametrize(
    "head",
    [
        "POST /precision HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nContent-Length: {}",
        "POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}",
        "POST /precision HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: {}",
        "POST /precision HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked",
        "POST /precision HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + "9" * 5000,
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}",
        "GET /none HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example",
    ],
)
def test_what_follows_a_refused_request_is_not_another_request(
    head: str, capfd: pytest.CaptureFixture[str]
) -> None:
    switched: list[str] = []
    made = Page([Board()], switched.append, "127.0.0.1", 0, None)
    with made.serving(), socket.create_connection(("127.0.0.1", made.port), 30) as connection:
        connection.sendall(head.format(len(FORGED)).encode() + b"\r\n\r\n" + FORGED)
        answer = b""
        with suppress(ConnectionResetError):
            while part := connection.recv(1 << 12):
                answer += part
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 403"))
    assert switched == []
    assert capfd.readouterr().err == ""


def test_other_machines_need_the_token_and_keep_it_in_a_cookie() -> None:
    with page("0.0.0.0") as made:  # noqa: S104 - that it is open is what is tested
        assert made.token
        assert made.token in made.address
        assert refused(made, "/")[0] == 403
        assert refused(made, "/events", Cookie="edgec-token=wrong")[0] == 403
        assert refused(made, "/?token=")[0] == 403
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        answer = opener.open(f"http://127.0.0.1:{made.port}/?token={made.token}", timeout=10)
        assert answer.url.endswith(f":{made.port}/")
        assert opener.open(f"http://127.0.0.1:{made.port}/page.js", timeout=10).status == 200


def test_a_token_may_be_chosen() -> None:
    with page("0.0.0.0", "chosen") as made:  # noqa: S104 - the same
        assert ask(made, "/", Cookie="edgec-token=chosen").status == 200


def test_more_viewers_than_a_small_board_can_serve_are_refused() -> None:
    with page() as made:
        made.boards[0].post(moment(1))
        viewers = [ask(made, "/events") for _ in range(MOST_VIEWERS)]
        assert refused(made, "/events") == (503, "Too many viewers.\n")
        for viewer in viewers:
            viewer.close()


def test_a_port_that_is_taken_is_named() -> None:
    with page() as made, pytest.raises(PageError, match=f"127.0.0.1:{made.port}"):
        Page([Board()], refuse, "127.0.0.1", made.port, None)


def test_it_ends_although_somebody_looks() -> None:
    with page() as made:
        made.boards[0].post(moment(1))
        viewer = ask(made, "/picture.mjpg")
        before = threading.active_count()
    assert threading.active_count() <= before
    viewer.close()


def test_it_does_not_close_while_a_picture_is_drawn_and_draws_none_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thread that Python's end finds inside OpenCV aborts the whole program."""
    begun, ended = threading.Event(), threading.Event()

    def slow(_image: object) -> bytes:
        begun.set()
        time.sleep(0.2)
        ended.set()
        return b"a picture"

    monkeypatch.setattr(page_module, "jpeg", slow)
    shown = moment(1)
    with page() as made:
        made.boards[0].post(shown)
        threading.Thread(target=ask, args=(made, "/picture.mjpg"), daemon=True).start()
        assert begun.wait(60)
    assert ended.is_set()
    assert made.encoded(shown) == b""
