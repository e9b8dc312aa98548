"""Quizzes of made-up pictures, and a client that answers them over HTTP."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from ganrun.cli.quiz.answers import KINDS, AnswerSheet
from ganrun.cli.quiz.questions import Question
from ganrun.cli.quiz.server import QuizServer
from ganrun.cli.quiz.state import Quiz

JSON = {"Content-Type": "application/json"}


def make_sheet(n: int = 0, **entries: Any) -> AnswerSheet:
    """Return the sheet of a quiz of n pictures."""
    usual = {"started": "2026-11-21-120000", "checkpoint": "kimg000002.000.ckpt", "kimg": 2.0, "data": "digits"}
    usual |= {"seed": 0, "number": 0, "to": None, "limit": None, "who": None, "pictures": n}
    return AnswerSheet(**{**usual, **entries})


def make_answers(fooled: int, fakes: int, doubted: int, real: int) -> list[dict[str, Any]]:
    """Return answers to so many generated and real pictures, of which so many are wrong."""
    wrong = [("generated", "real")] * fooled + [("real", "generated")] * doubted
    right = [("generated", "generated")] * (fakes - fooled) + [("real", "real")] * (real - doubted)
    return [
        {"kind": kind, "answer": answer, "seconds": 1.5, "index": i} for i, (kind, answer) in enumerate(wrong + right)
    ]


def make_quiz(folder, n: int = 4, limit: float | None = None, png: bytes = b"a picture") -> Quiz:
    """Return a quiz of n pictures, real and generated in turn."""
    questions = [Question(f"{i:032x}", KINDS[i % 2], i, png + b" %d" % i * (png == b"a picture")) for i in range(n)]
    return Quiz(questions, make_sheet(n, limit=limit), folder)


@contextmanager
def serving(quiz: Quiz) -> Iterator["Client"]:
    """Serve a quiz in a thread until the block ends, or until its last answer."""
    server = QuizServer(quiz, 0)
    thread = Thread(target=server.serve_until_ended)
    thread.start()
    try:
        yield Client(server.url)
    finally:
        quiz.ended.set()
        thread.join()


class Client:
    """Talks to the server of a quiz as its page does. Each reply is (status, headers, body)."""

    def __init__(self, url: str):
        self.url, parts = url, urlsplit(url)
        self.host, self.port, self.base = parts.hostname, parts.port, parts.path

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, Mapping[str, str], bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            connection.close()

    def get(self, path: str = "") -> bytes:
        status, _, body = self.request("GET", self.base + path)
        assert status == 200, (path, status)
        return body

    def view(self) -> dict[str, Any]:
        return json.loads(self.get("/view"))

    def post(self, **content: Any) -> tuple[int, dict[str, Any]]:
        status, _, body = self.request("POST", f"{self.base}/answer", json.dumps(content).encode(), JSON)
        return status, json.loads(body) if body.startswith(b"{") else {}

    def answer(self, view: Mapping[str, Any], kind: str) -> dict[str, Any]:
        """Look at the picture whose turn it is, answer, and return what comes next."""
        self.get(f"/picture/{view['picture']}")
        status, after = self.post(picture=view["picture"], answer=kind)
        assert status == 200, after
        return after
