"""The server of `ganrun play`: on this machine only, for those who know its address."""

import json
from http import HTTPStatus

from ganrun.cli.local_server import LocalHandler, LocalServer
from ganrun.cli.play.page import PAGE, POLICY
from ganrun.cli.play.playground import Playground
from ganrun.config.json_forms import is_number


class PlayServer(LocalServer):
    """Serves a playground. port: 0 for a free one. Raises UserError for one that cannot be used."""

    def __init__(self, playground: Playground, port: int):
        self.playground = playground
        super().__init__(port, PlayHandler)


class PlayHandler(LocalHandler):
    """GET /SECRET is the page, /SECRET/controls what it shows; POST /SECRET/draw the values, for a PNG."""

    server: PlayServer  # type: ignore[assignment]
    policy = POLICY
    largest_body = 2**14

    def get(self, path: list[str]) -> None:
        match path:
            case [] | [""]:
                self.reply(HTTPStatus.OK, "text/html; charset=utf-8", PAGE.encode())
            case ["controls"]:
                trained, controls = self.server.playground.trained, self.server.playground.describe()
                title = f"{trained.choices['model']} on {trained.choices['data']}"
                place = f"{trained.path}, after {trained.kimg:g} kimg"
                content = {"title": title, "place": place, "controls": controls}
                self.reply(HTTPStatus.OK, "application/json", json.dumps(content).encode())
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def post(self, path: list[str]) -> None:
        match path:
            case ["draw"]:
                playground = self.server.playground
                if (values := self.read_form({str: is_number}, playground.is_valid)) is not None:
                    self.reply(HTTPStatus.OK, "image/png", playground.draw(values))
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)
