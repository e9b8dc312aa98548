"""The server of `ganrun play`: whom it serves, what it refuses, and two pages at once; the page in a real browser."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from helpers.chromium import PROGRAM, Chromium
from helpers.model_training import CODED
from helpers.quizzes import JSON, Client
from helpers.waiting import wait_until

import ganrun
from ganrun.cli.play import page
from ganrun.cli.play.playground import Playground
from ganrun.cli.play.server import PlayServer


@pytest.fixture(scope="module")
def playground(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "infogan"
    ganrun.train([*CODED["infogan"], "kimg=0.008", "metrics=none", "logger=none", f"folder={folder}"])
    return Playground(ganrun.load(folder), 4, 2)


@contextmanager
def serving(playground):
    server = PlayServer(playground, 0)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Client(server.url)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def client(playground):
    with serving(playground) as client:
        yield client


def draw(client, values, headers=JSON):
    """The status and the body of a request for a picture."""
    body = values if isinstance(values, bytes) else json.dumps(values).encode()
    status, _, reply = client.request("POST", f"{client.base}/draw", body, headers)
    return status, reply


def test_the_controls_and_the_picture_of_their_values(client, playground):
    content = json.loads(client.get("/controls"))
    assert content["title"] == "infogan on digits"
    assert content["controls"] == json.loads(json.dumps(playground.describe()))
    assert draw(client, {"code c2": 1.5}) == (200, playground.draw({"code c2": 1.5}))


@pytest.mark.parametrize(
    "values",
    [{"code c9": 1}, {"seed": "3"}, {"code c1": 11}, [1], b"{", b"", {"seed": None}, b'{"seed": NaN}', {"seed": [1]}],
)
def test_other_values_are_refused(client, values):
    assert draw(client, values) == (400, b"Bad Request")


def test_what_other_pages_can_send_is_refused(client):
    assert draw(client, {}, {"Content-Type": "text/plain"})[0] == 415
    assert draw(client, b" " * 2**15)[0] == 413
    assert client.request("POST", f"{client.base}/draw", b"{}", {**JSON, "Host": "evil.example"})[0] == 421
    assert client.request("GET", "/0123/controls")[0] == 404
    assert client.request("GET", f"{client.base}/other")[0] == 404
    assert client.request("POST", f"{client.base}/other", b"{}", JSON)[0] == 404


def test_nothing_but_this_machine_is_listened_on(client):
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    places = [line[1] for line in lines if line[3] == "0A" and line[1].endswith(f":{client.port:04X}")]
    assert places == [f"0100007F:{client.port:04X}"]


def test_many_requests_at_once_get_their_own_pictures(client, playground):
    wanted = [{"seed": seed, "code c1": 1 + seed % 3} for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = [*pool.map(lambda values: draw(client, values)[1], wanted)]
    assert found == [playground.draw(values) for values in wanted]


def test_an_error_is_logged_and_said(client, playground, monkeypatch, caplog):
    def fail(values):
        raise RuntimeError("no memory")

    monkeypatch.setattr(playground, "draw", fail)
    assert draw(client, {}) == (500, b"Internal Server Error")
    wait_until(lambda: "A request failed: no memory" in caplog.text)


def test_an_address_with_a_slash_at_its_end_works(client):
    assert client.get("/") == client.get()


def test_the_page_loads_nothing_from_elsewhere(client):
    status, headers, body = client.request("GET", client.base)
    assert (status, body.decode()) == (200, page.PAGE)
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not re.search(r"https?://|//[a-z]|@import|url\(", page.PAGE)


PIXELS = """(() => {
  const image = document.getElementById("picture"), canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
})()"""
IS_DRAWN = "document.getElementById('picture').naturalWidth > 0 && !isDrawing"


def move(browser, name, value):
    """Move a slider as a person does, and wait for the picture."""
    script = "(([name, value]) => {const e = document.getElementsByName(name)[0]; e.value = value;"
    browser.evaluate(f"{script} e.dispatchEvent(new Event('input'))}})({json.dumps([name, value])})")
    browser.wait_for(IS_DRAWN)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium")
def test_a_slider_changes_the_picture_and_another_page_keeps_its_own(client, tmp_path):
    with Chromium(tmp_path / "one") as first, Chromium(tmp_path / "two") as second:
        for browser in (first, second):
            browser.open(client.url)
            browser.wait_for(f"typeof isDrawing !== 'undefined' && {IS_DRAWN}")
        start = first.evaluate(PIXELS)
        assert second.evaluate(PIXELS) == start
        move(first, "direction 0", 4)
        assert first.evaluate("document.querySelector('[name=\"direction 0\"]').nextSibling.value") == "4"
        moved = first.evaluate(PIXELS)
        assert moved != start
        assert second.evaluate(PIXELS) == start
        move(second, "code c1", 3)
        assert second.evaluate(PIXELS) not in (start, moved)
        first.evaluate("document.getElementById('reset').click()")
        first.wait_for(IS_DRAWN)
        assert first.evaluate(PIXELS) == start
        first.evaluate("document.getElementById('next').click()")
        first.wait_for(IS_DRAWN)
        assert first.evaluate("values.seed") == 1
