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
import hmac
import ipaddress
import json
import re
import secrets
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence
from urllib.parse import parse_qs, urlsplit

from .overlay import jpeg
from .places import Places, hang_up

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
COOKIE = "edgec-token"
LONGEST_BODY = 100
PICTURES_PER_SECOND, EVENTS_PER_SECOND = 15, 10
"""The rate for people; more would not slow down the loop that classifies."""
MOST_VIEWERS = 20
MOST_CONNECTIONS = 100
REQUEST_SECONDS = 20.0
"""From the beginning of a request to its end."""
PATIENCE_SECONDS = 1.0
"""How long a connection may make us wait when all places are taken and another one comes."""
UNREAD_BYTES = 1 << 15
"""What may lie unread by a viewer: more would only be old pictures."""
PORT_REFUSED = (errno.EADDRINUSE, errno.EACCES)
"""What the system says of a port; of other errors the address is the reason."""
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


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


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached only from this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_name(header: str) -> str:
    """Return the name in a Host header, without its port. Raises ValueError if it is not a host."""
    parts = urlsplit("//" + header)
    if parts.netloc != header or parts.username is not None or parts.hostname is None:
        raise ValueError(header)
    _ = parts.port  # raises for a port that is not a number
    return parts.hostname


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


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "edgec"
    sys_version = ""
    timeout = 20.0  # seconds until a viewer that reads nothing is dropped

    @property
    def page(self) -> Page:
        server: Any = self.server
        found: Page = server.page
        return found

    def handle_one_request(self) -> None:
        """Answer one request. It may not take longer than REQUEST_SECONDS to come, however it drips in."""
        deadline = threading.Timer(REQUEST_SECONDS, hang_up, (self.connection,))
        deadline.daemon = True
        deadline.start()
        server: Any = self.server
        self._coming = ExitStack()
        self._coming.callback(deadline.cancel)
        self._coming.enter_context(server.connections.waiting(self.connection))
        with self._coming:
            super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the headers. Refuse what is no address or name, and what could be read in two ways."""
        if not super().parse_request():
            return False
        try:
            self.target = urlsplit(self.path)
            self.host = _host_name(self.headers.get("Host", ""))
            self.origin = urlsplit(self.headers.get("Origin", "")).netloc
        except ValueError:
            self._refuse(400, b"This is no address.\n")
            return False
        if self._is_ambiguous():
            self._refuse(400, b"This request can be read in two ways.\n")
            return False
        return True

    def _is_ambiguous(self) -> bool:
        """Say whether another reader could see another host, another end or another request in it."""
        twice = any(len(self.headers.get_all(name, [])) > 1 for name in ("Host", "Content-Length", "Origin"))
        length = self.headers.get("Content-Length", "0")
        body = "Transfer-Encoding" in self.headers or (self.command != "POST" and length != "0")
        return twice or body or not self.path.startswith("/") or self.request_version == "HTTP/0.9"

    def do_GET(self) -> None:
        """Answer with the page, one of its files, pictures or records."""
        self._coming.close()
        path = self.target.path
        if not self._is_allowed():
            return
        if path == "/" and self.page.token and "token=" in self.path:
            self._redirect_without_token()
        elif path in FILES:
            name, kind = FILES[path]
            self._answer(200, (Path(__file__).parent / name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "/cameras":
            records = [moment.record for moment in self.page.newest()]
            self._answer(200, json.dumps(records).encode(), "application/json")
        elif path in OF_A_CAMERA:
            self._answer_of(self._camera(), path)
        else:
            self._refuse(404, b"There is nothing here.\n")

    def _camera(self) -> int | None:
        """Return which camera is asked for; None if there is no such one."""
        text = parse_qs(self.target.query).get("camera", ["0"])[0]
        return int(text) if CAMERA.fullmatch(text) and int(text) < len(self.page.boards) else None

    def _answer_of(self, camera: int | None, path: str) -> None:
        if camera is None:
            self._refuse(404, b"There is no such camera.\n")
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
                self._answer(200, encoded, "image/jpeg")
            else:
                self._refuse(503, b"There is no picture yet.\n")

    def do_POST(self) -> None:
        """Switch the precision."""
        if not self._is_allowed():
            return
        length = self.headers.get("Content-Length", "")
        if not LENGTH.fullmatch(length) or int(length) > LONGEST_BODY or self.target.path != "/precision":
            self._refuse(400, b"Expected: POST /precision with int8 or fp32.\n")
            return
        body = self.rfile.read(int(length))
        self._coming.close()
        try:
            self.page.switch(body.decode("ascii", "replace").strip())
        except ValueError as error:
            self._answer(409, f"{error}\n".encode())
            return
        self._answer(200, b"ok\n")

    def _is_allowed(self) -> bool:
        """Refuse requests without the token or, where none is needed, those through another site."""
        if self._is_of_another_site():
            self._refuse(403, b"Not from another site.\n")
            return False
        if self.page.token is None:
            if not is_loopback(self.host):
                self._refuse(
                    403, b"This page is for this machine alone: open it as 127.0.0.1 or localhost.\n"
                )
                return False
            return True
        given = parse_qs(self.target.query).get("token", [""])[0] or self._cookie()
        if hmac.compare_digest(given.encode(), self.page.token.encode()):
            return True
        self._refuse(403, b"The token is missing or wrong: open the address that the program printed.\n")
        return False

    def _is_of_another_site(self) -> bool:
        """Say whether a page of another site asks: it may link to the page, and have nothing else.

        Browsers say so in Sec-Fetch-Site (W3C Fetch Metadata), and in Origin where a script asks.
        """
        if "Origin" in self.headers and self.origin != self.headers.get("Host"):
            return True
        linked = self.target.path == "/" and self.headers.get("Sec-Fetch-Dest") == "document"
        return self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not linked

    def _cookie(self) -> str:
        try:
            found = SimpleCookie(self.headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return found.value if found else ""

    def _redirect_without_token(self) -> None:
        """Keep the token in a cookie, so that it does not stay in the address."""
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Set-Cookie", f"{COOKIE}={self.page.token}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _refuse(self, code: int, why: bytes) -> None:
        """Answer and end the connection: what follows on it, such as a body, is not read as a request."""
        self.close_connection = True
        self._answer(code, why)

    def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self._send_common_headers()
        self.wfile.write(body)

    def _send_common_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _stream(
        self, board: Board, kind: str, part: Callable[[Any], bytes], per_second: int, begin: bytes = b""
    ) -> None:
        """Send a part for each newest moment, until the viewer or the program ends."""
        viewers = self.page.viewers
        if not viewers.take(self.connection):
            self._refuse(503, b"Too many viewers.\n")
            return
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Connection", "close")
            self._send_common_headers()
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

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the terminal is for the demo."""
