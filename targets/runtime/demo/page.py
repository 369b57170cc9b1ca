"""The demo's page, served by Python itself: a device needs no web framework.

    /               the page, with page.css and page.js beside it
    /picture.mjpg   the pictures, as multipart JPEG
    /events         the records, as server-sent events
    /precision      POST int8 or fp32: what to classify with

If it is bound to this machine only, it needs no token, but answers only requests to its own name, so that no
other site's script can reach it. Otherwise it needs a token, given once as ?token=... and kept in a cookie.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import secrets
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Iterator
from urllib.parse import parse_qs, urlsplit

from .overlay import jpeg

if TYPE_CHECKING:
    from .board import Board

FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
BOUNDARY = b"--picture\r\n"
COOKIE = "edgec-token"
LONGEST_BODY = 100
PICTURES_PER_SECOND, EVENTS_PER_SECOND = 15, 10
"""The rate for people; more would not slow down the loop that classifies."""
MOST_VIEWERS = 20
MOST_CONNECTIONS = 100
REQUEST_SECONDS = 20.0
"""From the beginning of a request to the end of its headers."""
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class PageError(Exception):
    """The page cannot be served. The message says why."""


class Page:
    """A server for one board. `switch` is called with the precision a viewer wants; ValueError refuses."""

    def __init__(
        self, board: Board, switch: Callable[[str], None], host: str, port: int, token: str | None
    ) -> None:
        self.board = board
        self.switch = switch
        self.host = host
        self.token = None if is_loopback(host) else (token or secrets.token_urlsafe(12))
        self.viewers = threading.BoundedSemaphore(MOST_VIEWERS)
        try:
            self._server = _Server((host, port), _Request)
        except OSError as error:
            raise PageError(
                f"the page cannot be served on {host}:{port}: {error.strerror}. Give --port 0 for any"
            ) from error
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
            self.board.close()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


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
    page: Page

    def __init__(self, *arguments: Any) -> None:
        self._connections = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread for a connection; there are only so many at once."""
        if self._connections.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in a thread of its own."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

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
        """Answer one request. Its headers may not take longer than REQUEST_SECONDS, however they drip in."""
        self._deadline = threading.Timer(REQUEST_SECONDS, self._hang_up)
        self._deadline.daemon = True
        self._deadline.start()
        try:
            super().handle_one_request()
        finally:
            self._deadline.cancel()

    def parse_request(self) -> bool:
        """Read the headers. Refuse an invalid address, and a Host that is not this machine."""
        parsed = super().parse_request()
        self._deadline.cancel()
        if not parsed:
            return False
        try:
            self.target = urlsplit(self.path)
            self.host = _host_name(self.headers.get("Host", ""))
            self.origin = urlsplit(self.headers.get("Origin", "")).netloc
        except ValueError:
            self._answer(400, b"This is no address.\n")
            return False
        return True

    def _hang_up(self) -> None:
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        """Answer with the page, one of its files, pictures or records."""
        path = self.target.path
        if not self._is_allowed():
            return
        if path == "/" and self.page.token and "token=" in self.path:
            self._redirect_without_token()
        elif path in FILES:
            name, kind = FILES[path]
            self._answer(200, (Path(__file__).parent / name).read_bytes(), f"{kind}; charset=utf-8")
        elif path == "/picture.mjpg":
            kind = "multipart/x-mixed-replace; boundary=picture"
            self._stream(kind, self._pictures, PICTURES_PER_SECOND, begin=BOUNDARY)
        elif path == "/events":
            self._stream("text/event-stream", self._records, EVENTS_PER_SECOND)
        else:
            self._answer(404, b"There is nothing here.\n")

    def do_POST(self) -> None:
        """Switch the precision."""
        if not self._is_allowed():
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LONGEST_BODY or self.target.path != "/precision":
            self._answer(400, b"Expected: POST /precision with int8 or fp32.\n")
            return
        try:
            self.page.switch(self.rfile.read(int(length)).decode("ascii", "replace").strip())
        except ValueError as error:
            self._answer(409, f"{error}\n".encode())
            return
        self._answer(200, b"ok\n")

    def _is_allowed(self) -> bool:
        """Refuse requests without the token or, where none is needed, those through another site."""
        if self._is_of_another_site():
            self._answer(403, b"Not from another site.\n")
            return False
        if self.page.token is None:
            if not is_loopback(self.host):
                self._answer(
                    403, b"This page is for this machine alone: open it as 127.0.0.1 or localhost.\n"
                )
                return False
            return True
        given = parse_qs(self.target.query).get("token", [""])[0] or self._cookie()
        if hmac.compare_digest(given.encode(), self.page.token.encode()):
            return True
        self._answer(403, b"The token is missing or wrong: open the address that the program printed.\n")
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

    def _answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self._send_common_headers()
        self.wfile.write(body)

    def _send_common_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def _stream(self, kind: str, part: Callable[[Any], bytes], per_second: int, begin: bytes = b"") -> None:
        """Send a part for each newest moment, until the viewer or the program ends."""
        if not self.page.viewers.acquire(blocking=False):
            self._answer(503, b"Too many viewers.\n")
            return
        try:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Connection", "close")
            self._send_common_headers()
            self.close_connection = True
            self.wfile.write(begin)
            number = 0
            while not self.page.board.closed:
                started = time.monotonic()
                moment = self.page.board.newest(number, timeout=2.0)
                number = moment.number if moment else number
                self.wfile.write(part(moment))
                self.wfile.flush()
                time.sleep(max(0.0, started + 1 / per_second - time.monotonic()))
        finally:
            self.page.viewers.release()

    @staticmethod
    def _pictures(moment: Any) -> bytes:
        if moment is None:
            return b""
        encoded = jpeg(moment.image)
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
