"""The demo's page, served by Python itself: a device needs no web framework.

    /               the page, with page.css and page.js beside it
    /cameras        the newest record of each camera, as JSON
    /picture.jpg    the newest picture of a camera
    /picture.mjpg   the pictures, as multipart JPEG
    /events         the records, as server-sent events
    /precision      POST int8 or fp32: what to classify with

The three in the middle take ?camera=1 for the second camera. A browser opens six connections to a server at
most, so the page streams one camera and asks for still pictures of the others.

If it is bound to this machine only, it needs no token, but answers only requests to its own name, so that no
other site's script can reach it. Otherwise it needs a token, given once as ?token=... and kept in a cookie.
"""

from __future__ import annotations

import errno
import json
import re
import secrets
import socket
import threading
import time
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence
from urllib.parse import parse_qs

from .guarded_request import GuardedRequest, is_loopback
from .overlay import jpeg
from .places import Places

if TYPE_CHECKING:
    from .board import Board, Moment

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
OF_A_CAMERA = ("/picture.jpg", "/picture.mjpg", "/events")
CAMERA = re.compile(r"[0-9]{1,3}")
LENGTH = re.compile(r"[0-9]{1,9}")
BOUNDARY = b"--picture\r\n"
LONGEST_BODY = 100
PICTURES_PER_SECOND, EVENTS_PER_SECOND = 15, 10
"""The rate for people; more would not slow down the loop that classifies."""
MOST_VIEWERS = 20
MOST_CONNECTIONS = 100
PATIENCE_SECONDS = 1.0
"""How long a connection may make us wait when all places are taken and another one comes."""
UNREAD_BYTES = 1 << 15
"""What may lie unread by a viewer: more would only be old pictures."""
PORT_REFUSED = (errno.EADDRINUSE, errno.EACCES)
"""What the system says of a port; of other errors the address is the reason."""


class PageError(Exception):
    """The page cannot be served. The message says why."""


class Page:
    """A server for the boards of all cameras.

    `switch` is called with the precision a viewer wants; ValueError refuses.
    """

    def __init__(
        self,
        boards: Sequence[Board],
        switch: Callable[[str], None],
        host: str,
        port: int,
        token: str | None,
    ) -> None:
        self.boards = boards
        self.switch = switch
        self.host = host
        self.token = None if is_loopback(host) else (token or secrets.token_urlsafe(12))
        self.viewers = Places(MOST_VIEWERS, PATIENCE_SECONDS)
        self._drawing = threading.Lock()
        try:
            self._server = _Server((host, port), _Request)
        except OSError as error:
            way = "Give --port 0 for any" if error.errno in PORT_REFUSED else "Give --host 127.0.0.1"
            raise PageError(f"the page cannot be served on {host}:{port}: {error.strerror}. {way}") from error
        self._server.page = self
        self.port = int(self._server.server_address[1])

    @property
    def address(self) -> str:
        """The URL to open in a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Serve in separate threads."""
        thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            for board in self.boards:
                board.close()
            with self._drawing:  # a thread inside OpenCV while Python ends would abort the program
                pass
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def encoded(self, moment: Moment) -> bytes:
        """Return the moment's picture as JPEG; nothing once the page is closed."""
        with self._drawing:
            return b"" if self.boards[moment.camera].closed else jpeg(moment.overlay.drawn)

    def newest(self) -> list[Moment]:
        """Return the newest moment of each camera that has one."""
        found = [board.newest(0, timeout=0.0) for board in self.boards]
        return [moment for moment in found if moment]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a viewer that hangs must not block the program
    request_queue_size = 64
    page: Page

    def __init__(self, *arguments: Any) -> None:
        self.connections = Places(MOST_CONNECTIONS, 0.0)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection; of those that have not asked yet, the oldest yields if need be."""
        if self.connections.take(request, waited_for=True):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in a thread of its own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.leave(request)

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore viewers that disconnect."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as it came


class _Request(GuardedRequest):
    @property
    def page(self) -> Page:
        server: Any = self.server
        found: Page = server.page
        return found

    @property
    def token(self) -> str | None:
        """The page's token."""
        return self.page.token

    @property
    def connections(self) -> Places:
        """The server's connections."""
        server: Any = self.server
        found: Places = server.connections
        return found

    def do_GET(self) -> None:  # noqa: N802 - the name is the base class's
        """Answer with the page, one of its files, pictures or records."""
        self.coming.close()
        path = self.target.path
        if not self.is_allowed():
            return
        if path == "/" and self.page.token and "token=" in self.path:
            self.redirect_without_token()
        elif path in FILES:
            name, kind = FILES[path]
            self.answer(200, (Path(__file__).parent / name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "/cameras":
            records = [moment.record for moment in self.page.newest()]
            self.answer(200, json.dumps(records).encode(), "application/json")
        elif path in OF_A_CAMERA:
            self._answer_of(self._camera(), path)
        else:
            self.refuse(404, b"There is nothing here.\n")

    def _camera(self) -> int | None:
        """Return which camera is asked for; None if there is no such one."""
        text = parse_qs(self.target.query).get("camera", ["0"])[0]
        return int(text) if CAMERA.fullmatch(text) and int(text) < len(self.page.boards) else None

    def _answer_of(self, camera: int | None, path: str) -> None:
        if camera is None:
            self.refuse(404, b"There is no such camera.\n")
            return
        board = self.page.boards[camera]
        if path == "/picture.mjpg":
            kind = "multipart/x-mixed-replace; boundary=picture"
            self._stream(board, kind, self._pictures, PICTURES_PER_SECOND, begin=BOUNDARY)
        elif path == "/events":
            self._stream(board, "text/event-stream", self._records, EVENTS_PER_SECOND)
        else:
            moment = board.newest(0, timeout=2.0)
            encoded = self.page.encoded(moment) if moment else b""
            if encoded:
                self.answer(200, encoded, "image/jpeg")
            else:
                self.refuse(503, b"There is no picture yet.\n")

    def do_POST(self) -> None:  # noqa: N802 - the name is the base class's
        """Switch the precision."""
        if not self.is_allowed():
            return
        length = self.headers.get("Content-Length", "")
        if not LENGTH.fullmatch(length) or int(length) > LONGEST_BODY or self.target.path != "/precision":
            self.refuse(400, b"Expected: POST /precision with int8 or fp32.\n")
            return
        body = self.rfile.read(int(length))
        self.coming.close()
        try:
            self.page.switch(body.decode("ascii", "replace").strip())
        except ValueError as error:
            self.answer(409, f"{error}\n".encode())
            return
        self.answer(200, b"ok\n")

    def _stream(
        self, board: Board, kind: str, part: Callable[[Any], bytes], per_second: int, begin: bytes = b""
    ) -> None:
        """Send a part for each newest moment, until the viewer or the program ends."""
        viewers = self.page.viewers
        if not viewers.take(self.connection):
            self.refuse(503, b"Too many viewers.\n")
            return
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Connection", "close")
            self.send_common_headers()
            self.close_connection = True
            self.wfile.write(begin)
            number = 0
            while not board.closed:
                started = time.monotonic()
                moment = board.newest(number, timeout=2.0)
                number = moment.number if moment else number
                with viewers.waiting(self.connection):
                    self.wfile.write(part(moment))
                time.sleep(max(0.0, started + 1 / per_second - time.monotonic()))
        finally:
            viewers.leave(self.connection)

    def _pictures(self, moment: Moment | None) -> bytes:
        encoded = self.page.encoded(moment) if moment else b""
        if not encoded:
            return b""
        head = f"Content-Type: image/jpeg\r\nContent-Length: {len(encoded)}\r\n\r\n"
        return (
            head.encode() + encoded + b"\r\n" + BOUNDARY
        )  # browsers show a picture when the next one begins

    @staticmethod
    def _records(moment: Any) -> bytes:
        if moment is None:
            return b": still here\n\n"
        return b"data: " + json.dumps(moment.record).encode() + b"\n\n"
