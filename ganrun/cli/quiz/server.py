"""The server of a quiz: on this machine only, for those who know its address, and only while the quiz lasts."""

import json
import re
import secrets
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from ganrun.cli.quiz.answers import is_kind
from ganrun.cli.quiz.page import PAGE, POLICY
from ganrun.cli.quiz.state import Quiz
from ganrun.config.json_forms import is_text, parse_form
from ganrun.errors import UserError

ADDRESS = "127.0.0.1"
# Names of this machine. A page elsewhere whose name is made to lead here, by DNS rebinding, sends that name. The port
# may be any: a tunnel has another one.
LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?", re.IGNORECASE)
MAX_BODY = 1024  # bytes of an answer
DISCARDED = 2**16  # bytes of a larger one that are read, so that its sender reads the reply
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class QuizServer(ThreadingHTTPServer):
    """Serves a quiz below a secret path. port: 0 for a free one. Raises UserError for one that cannot be used."""

    def __init__(self, quiz: Quiz, port: int):
        self.quiz, self.secret = quiz, secrets.token_hex(16)
        try:
            super().__init__((ADDRESS, port), QuizHandler)
        except OSError as error:
            raise UserError(
                f"port={port} cannot be used: {error.strerror}. Give another one from 1024 to 65535, or leave it out "
                "for a free one."
            ) from error

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.server_address[1]}/{self.secret}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that a browser has closed or left open."""

    def serve_until_ended(self) -> None:
        """Serve until the quiz has ended or a signal interrupts; then take no more answers."""
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            self.quiz.ended.wait()
        finally:
            self.quiz.close()
            self.shutdown()
            self.server_close()


class QuizHandler(BaseHTTPRequestHandler):
    """GET /SECRET is the page, /SECRET/view what it shows, /SECRET/picture/TOKEN a picture; POST /SECRET/answer."""

    server: QuizServer  # type: ignore[assignment]
    server_version, sys_version = "ganrun", ""
    timeout = 30  # seconds that a connection may be idle

    def do_GET(self) -> None:
        match self.find_path():
            case []:
                self.reply(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.encode())
            case ["view"]:
                self.reply_view(HTTPStatus.OK)
            case ["picture", token] if png := self.server.quiz.picture(token):
                self.reply(HTTPStatus.OK, "image/png", png)
            case path if path is not None:
                self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        match self.find_path():
            case ["answer"]:
                if answer := self.read_answer():
                    self.reply_view(self.server.quiz.take_answer(answer["picture"], answer["answer"]))
            case path if path is not None:
                self.send_error(HTTPStatus.NOT_FOUND)

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

    def read_answer(self) -> dict[str, str] | None:
        """Return the answer in the body: {picture, answer}; None if the request has been refused."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,18}", length):
            return self.send_error(HTTPStatus.LENGTH_REQUIRED)
        body = self.rfile.read(min(int(length), DISCARDED))
        if int(length) > MAX_BODY:
            return self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if self.headers.get_content_type() != "application/json":  # what other pages cannot send without being asked
            return self.send_error(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        with suppress(ValueError):
            content = parse_form(body, {"picture": is_text, "answer": is_kind})
            if {*content} == {"picture", "answer"}:
                return content
        return self.send_error(HTTPStatus.BAD_REQUEST)

    def reply_view(self, code: HTTPStatus) -> None:
        """Send what the page shows next. The quiz ends once the result is sent."""
        view = self.server.quiz.view()
        self.reply(code, "application/json", json.dumps(view).encode())
        if "table" in view:
            self.server.quiz.ended.set()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.reply(HTTPStatus(code), "text/plain", HTTPStatus(code).phrase.encode())

    def reply(self, code: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address of the page is a secret."""
