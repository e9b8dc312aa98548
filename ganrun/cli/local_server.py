"""A server for browsers on this machine only, and only for those who know its address."""

import logging
import re
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ganrun.config.json_forms import parse_form
from ganrun.errors import UserError

log = logging.getLogger(__name__)
ADDRESS = "127.0.0.1"
# Names of this machine. A page elsewhere whose name is made to lead here, by DNS rebinding, sends that name. The port
# may be any: a tunnel has another one.
LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
DISCARDED = 2**16  # bytes of a body that is too long which are read, so that its sender reads the reply
HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LocalServer(ThreadingHTTPServer):
    """Serves below a secret path. port: 0 for a free one. Raises UserError for one that cannot be used."""

    def __init__(self, port: int, handler: type["LocalHandler"]):
        self.secret = secrets.token_hex(16)
        try:
            super().__init__((ADDRESS, port), handler)
        except OSError as error:
            raise UserError(
                f"port={port} cannot be used: {error.strerror}. Give another one from 1024 to 65535, or leave it out "
                "for a free one."
            ) from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that a browser has closed or left open; log other errors."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("A request failed: %s", str(error) or type(error).__name__)


class LocalHandler(BaseHTTPRequestHandler):
    """Checks of requests, and replies. policy: the Content-Security-Policy.  largest_body: bytes of JSON taken."""

    server: LocalServer  # type: ignore[assignment]
    server_version, sys_version = "ganrun", ""
    timeout = 30  # seconds that a connection may be idle
    policy: str
    largest_body = 1024

    def do_GET(self) -> None:
        if (path := self.find_path()) is not None:
            self.get(path)

    def do_POST(self) -> None:
        if (path := self.find_path()) is not None:
            try:
                self.post(path)
            except ConnectionError:
                raise
            except Exception:
                self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
                raise

    def get(self, path: list[str]) -> None:
        """Reply to a GET of the path below the secret one, given by its parts."""
        raise NotImplementedError

    def post(self, path: list[str]) -> None:
        raise NotImplementedError

    def find_path(self) -> list[str] | None:
        """Return the parts of the path after the secret; None if the request has been refused."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not LOCAL_HOST.fullmatch(hosts[0]):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return None
        first, *rest = self.path.removeprefix("/").split("/")
        if not secrets.compare_digest(first.encode(errors="replace"), self.server.secret.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return rest

    def read_json(self) -> bytes | None:
        """Return the body of a request that says it is JSON; None if the request has been refused."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", length):
            return self.send_error(HTTPStatus.LENGTH_REQUIRED)
        body = self.rfile.read(min(int(length), DISCARDED))
        if int(length) > self.largest_body:
            return self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if self.headers.get_content_type() != "application/json":  # what other pages cannot send without being asked
            return self.send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        return body

    def read_form(self, form: Any, is_valid: Callable[[Any], bool]) -> Any:
        """Return what a body of JSON holds, if it has this form and is valid; None if the request has been refused."""
        body = self.read_json()
        if body is None:
            return None
        with suppress(ValueError):
            content = parse_form(body, form)
            if is_valid(content):
                return content
        return self.send_error(HTTPStatus.BAD_REQUEST)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.reply(HTTPStatus(code), "text/plain", HTTPStatus(code).phrase.encode())

    def reply(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(code)
        own = {"Content-Type": kind, "Content-Length": str(len(body)), "Content-Security-Policy": self.policy}
        for name, value in {**own, **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address of the page is a secret."""
