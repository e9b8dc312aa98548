"""A quiz in progress: which picture is asked for, and the answers, which are kept one by one."""

import base64
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock
from typing import Any

from ganrun.cli.quiz.answers import AnswerSheet, claim_file, compare_with_all, write_sheet
from ganrun.cli.quiz.questions import Question

MISTAKES_SHOWN = 200


class Quiz:
    """The pictures of a quiz are asked for in order, each once. Several threads of the server may call it.

    sheet: gets the answers.  folder: the run folder, which keeps them in a file from the first one on.
    ended: is set after the last one, and after an answer that could not be kept, for the reason `failure`.
    """

    def __init__(self, questions: Sequence[Question], sheet: AnswerSheet, folder: Path):
        self.questions, self.sheet, self.folder = questions, sheet, folder
        self.ended, self.failure = Event(), None
        self.path: Path | None = None
        self._lock, self._is_open, self._shown_at = Lock(), True, 0.0

    @property
    def current(self) -> Question | None:
        """The question without an answer whose turn it is; None after the last."""
        answered = len(self.sheet.answers)
        return self.questions[answered] if answered < len(self.questions) else None

    def picture(self, token: str) -> bytes | None:
        """Return the picture whose turn it is as PNG, and note that it has been shown; None for any other."""
        with self._lock:
            question = self.current
            if question is None or question.token != token:
                return None
            self._shown_at = self._shown_at or time.monotonic()
            return question.png

    def take_answer(self, token: str, answer: str) -> HTTPStatus:
        """Keep an answer to the picture whose turn it is. CONFLICT for an earlier one, and for one not shown yet."""
        with self._lock:
            answered = len(self.sheet.answers)
            if any(question.token == token for question in self.questions[:answered]):
                return HTTPStatus.CONFLICT
            question = self.current
            if question is None or question.token != token:
                return HTTPStatus.NOT_FOUND
            if not self._shown_at or not self._is_open:
                return HTTPStatus.CONFLICT
            seconds = round(time.monotonic() - self._shown_at, 3)
            self.sheet.answers.append(
                {"kind": question.kind, "answer": answer, "seconds": seconds, "index": question.index}
            )
            return self._keep()

    def _keep(self) -> HTTPStatus:
        """Write the answers. If that fails, forget the last one, and end the quiz."""
        try:
            self.path = self.path or claim_file(self.folder, self.sheet.started)
            write_sheet(self.path, self.sheet)
        except OSError as error:
            self.sheet.answers.pop()
            if self.path and not self.sheet.answers:
                self.path.unlink(missing_ok=True)
            self.failure, self._is_open = error, False
            self.ended.set()
            return HTTPStatus.INTERNAL_SERVER_ERROR
        self._shown_at = 0.0
        return HTTPStatus.OK

    def view(self) -> dict[str, Any]:
        """Return what the page shows next: the name of a picture, or the result."""
        with self._lock:
            question, answers = self.current, self.sheet.answers
            progress = {"answered": len(answers), "total": len(self.questions), "limit": self.sheet.limit}
            if question is not None:
                return {**progress, "picture": question.token}
            return {**progress, "table": compare_with_all(self.sheet, self.folder), "mistakes": self._mistakes()}

    def _mistakes(self) -> list[dict[str, str]]:
        """Return the pictures that were mistaken, and what they are; the page may outlive the server."""
        pairs = zip(self.questions, self.sheet.answers, strict=True)
        wrong = [question for question, answer in pairs if answer["answer"] != question.kind]
        return [
            {"kind": question.kind, "source": f"data:image/png;base64,{base64.b64encode(question.png).decode()}"}
            for question in wrong[:MISTAKES_SHOWN]
        ]

    def close(self) -> None:
        """Take no more answers. An answer that is being written is written first."""
        with self._lock:
            self._is_open = False
