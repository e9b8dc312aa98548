"""The server of a quiz: on this machine only, for those who know its address, and only while the quiz lasts."""

import json
from http import HTTPStatus
from threading import Thread

from ganrun.cli.local_server import LocalHandler, LocalServer
from ganrun.cli.quiz.answers import is_kind
from ganrun.cli.quiz.page import PAGE, POLICY
from ganrun.cli.quiz.state import Quiz
from ganrun.config.json_forms import is_text


class QuizServer(LocalServer):
    """Serves a quiz. port: 0 for a free one. Raises UserError for one that cannot be used."""

    def __init__(self, quiz: Quiz, port: int):
        self.quiz = quiz
        super().__init__(port, QuizHandler)

    def serve_until_ended(self) -> None:
        """Serve until the quiz has ended or a signal interrupts; then take no more answers."""
        Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            self.quiz.ended.wait()
        finally:
            self.quiz.close()
            self.shutdown()
            self.server_close()


class QuizHandler(LocalHandler):
    """GET /SECRET is the page, /SECRET/view what it shows, /SECRET/picture/TOKEN a picture; POST /SECRET/answer."""

    server: QuizServer  # type: ignore[assignment]
    policy = POLICY

    def get(self, path: list[str]) -> None:
        match path:
            case []:
                self.reply(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.encode())
            case ["view"]:
                self.reply_view(HTTPStatus.OK)
            case ["picture", token] if png := self.server.quiz.picture(token):
                self.reply(HTTPStatus.OK, "image/png", png)
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def post(self, path: list[str]) -> None:
        match path:
            case ["answer"]:
                form = {"picture": is_text, "answer": is_kind}
                if answer := self.read_form(form, lambda content: {*content} == {*form}):
                    self.reply_view(self.server.quiz.take_answer(answer["picture"], answer["answer"]))
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def reply_view(self, code: HTTPStatus) -> None:
        """Send what the page shows next. The quiz ends once the result is sent."""
        view = self.server.quiz.view()
        self.reply(code, "application/json", json.dumps(view).encode())
        if "table" in view:
            self.server.quiz.ended.set()
