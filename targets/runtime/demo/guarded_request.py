"""Requests to the demo's page: reading them within limits, and refusing those that may not be answered."""

from __future__ import annotations

import hmac
import ipaddress
import threading
from contextlib import ExitStack
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from .places import hang_up

if TYPE_CHECKING:
    from .places import Places

COOKIE = "edgec-token"
REQUEST_SECONDS = 20.0
"""From the beginning of a request to its end."""
POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


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


class GuardedRequest(BaseHTTPRequestHandler):
    """A request that is answered only if it is unambiguous, of no other site, and has the token, if any."""

    protocol_version = "HTTP/1.1"
    server_version = "edgec"
    sys_version = ""
    timeout = 20.0  # seconds until a viewer that reads nothing is dropped

    @property
    def token(self) -> str | None:
        """The token that requests need. None: the page is for this machine only."""
        raise NotImplementedError

    @property
    def connections(self) -> Places:
        """The server's connections."""
        raise NotImplementedError

    def handle_one_request(self) -> None:
        """Answer one request. It may not take longer than REQUEST_SECONDS to come, however it drips in."""
        deadline = threading.Timer(REQUEST_SECONDS, hang_up, (self.connection,))
        deadline.daemon = True
        deadline.start()
        self.coming = ExitStack()
        self.coming.callback(deadline.cancel)
        self.coming.enter_context(self.connections.waiting(self.connection))
        with self.coming:
            super().handle_one_request()

    def parse_request(self) -> bool:
        """Read the headers. Refuse addresses and host names that are not valid, and ambiguous requests."""
        if not super().parse_request():
            return False
        try:
            self.target = urlsplit(self.path)
            self.host = _host_name(self.headers.get("Host", ""))
            self.origin = urlsplit(self.headers.get("Origin", "")).netloc
        except ValueError:
            self.refuse(400, b"The address of this request is not valid.\n")
            return False
        if self._is_ambiguous():
            self.refuse(400, b"This request can be read in two ways.\n")
            return False
        return True

    def _is_ambiguous(self) -> bool:
        """Whether another reader could find another host, another end or another request in it."""
        twice = any(len(self.headers.get_all(name, [])) > 1 for name in ("Host", "Content-Length", "Origin"))
        length = self.headers.get("Content-Length", "0")
        body = "Transfer-Encoding" in self.headers or (self.command != "POST" and length != "0")
        return twice or body or not self.path.startswith("/") or self.request_version == "HTTP/0.9"

    def is_allowed(self) -> bool:
        """Refuse requests without the token or, where none is needed, those through another site."""
        if self._is_of_another_site():
            self.refuse(403, b"Not from another site.\n")
            return False
        if self.token is None:
            if not is_loopback(self.host):
                self.refuse(403, b"This page is for this machine alone: open it as 127.0.0.1 or localhost.\n")
                return False
            return True
        given = parse_qs(self.target.query).get("token", [""])[0] or self._cookie()
        if hmac.compare_digest(given.encode(), self.token.encode()):
            return True
        self.refuse(403, b"The token is missing or wrong: open the address that the program printed.\n")
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

    def redirect_without_token(self) -> None:
        """Keep the token in a cookie, so that it does not stay in the address."""
        self.send_response(303)
        self.send_header("Location", "/")
        self.send_header("Set-Cookie", f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def refuse(self, code: int, why: bytes) -> None:
        """Answer and end the connection: what follows on it, such as a body, is not read as a request."""
        self.close_connection = True
        self.answer(code, why)

    def answer(self, code: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        """Send a whole answer."""
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_common_headers()
        self.wfile.write(body)

    def send_common_headers(self) -> None:
        """End the headers with those of every answer."""
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the terminal is for the demo."""
