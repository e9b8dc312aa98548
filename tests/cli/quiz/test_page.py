"""The page of a quiz in a real browser, headless."""

import io
import json
from pathlib import Path

import pytest
from helpers.chromium import PROGRAM, Chromium
from helpers.quizzes import make_quiz, serving
from PIL import Image

from ganrun.cli.quiz.answers import error_shares, read_sheet

pytestmark = [pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium")]
PNG = (Path(__file__).parents[3] / "docs" / "images" / "cgan-digits.png").read_bytes()


@pytest.fixture
def browser(tmp_path):
    with Chromium(tmp_path / "profile") as browser:
        yield browser


def begin(browser, client):
    browser.evaluate("window.isOld = true")
    browser.open(client.url)
    browser.wait_for("!window.isOld && document.querySelector('#start:not([hidden])') !== null")
    browser.evaluate("document.getElementById('begin').click()")
    browser.wait_for("isAsking")


def give(browser, way, number):
    """Answer by a key or a button, and wait for what comes next."""
    browser.wait_for("isAsking")
    if way.startswith("is-"):
        browser.evaluate(f"document.getElementById('{way}').click()")
    else:
        browser.press(way)
    browser.wait_for(f"view.answered == {number + 1}")


WAYS = {"r": "real", "ArrowRight": "generated", "is-generated": "generated", "ArrowLeft": "real", "f": "generated"}


def test_forty_answers_by_keys_and_buttons_give_the_right_share_and_interval(tmp_path, browser):
    quiz, ways = make_quiz(tmp_path, 40, png=PNG), [*WAYS, "is-real", "R", "F"] * 5
    with serving(quiz) as client:
        begin(browser, client)
        for number, way in enumerate(ways):
            assert browser.evaluate("document.getElementById('count').textContent") == f"{number + 1} of 40"
            give(browser, way, number)
        browser.wait_for("!document.getElementById('result').hidden")
    sheet = read_sheet(quiz.path)
    expected = [{**WAYS, "is-real": "real", "R": "real", "F": "generated"}[way] for way in ways]
    assert [answer["answer"] for answer in sheet.answers] == expected
    wrong = [kind != answer for kind, answer in zip(["real", "generated"] * 20, expected, strict=True)]
    assert [share.wrong for share in error_shares([sheet])] == [sum(wrong[1::2]), sum(wrong[::2]), sum(wrong)]
    cells = "[...document.querySelectorAll('#table tr')].map(row => [...row.cells].map(cell => cell.textContent))"
    shares = [[share.name, str(share)] for share in error_shares([sheet])]
    assert browser.evaluate(cells) == [["", "this quiz"], *shares]
    assert shares[2] == ["wrong in all", "50 % (95 %: 35 to 65 %, 40 answers)"]
    for kind, count in (("generated", sum(wrong[1::2])), ("real", sum(wrong[::2]))):
        shown = f"document.querySelectorAll('#{kind} img')"
        browser.wait_for(f"[...{shown}].every(image => image.naturalWidth > 0)")  # though the server has ended
        assert browser.evaluate(f"{shown}.length") == count


def test_a_picture_disappears_after_its_time_and_is_not_shown_again(tmp_path, browser):
    with serving(make_quiz(tmp_path, 2, limit=0.3, png=PNG)) as client:
        begin(browser, client)
        style = "getComputedStyle(document.querySelector('#place img')).visibility"
        browser.wait_for(f"{style} == 'hidden'")
        assert browser.evaluate("isAsking") is True
        begin(browser, client)  # as the page is loaded again
        assert browser.evaluate(style) == "hidden"
        give(browser, "r", 0)
        browser.wait_for(f"isAsking && {style} == 'visible'")
        browser.wait_for(f"{style} == 'hidden'")


def test_keys_that_repeat_or_belong_to_the_browser_are_no_answers(tmp_path, browser):
    with serving(make_quiz(tmp_path, 4, png=PNG)) as client:
        begin(browser, client)
        for more in ("repeat: true", "ctrlKey: true", "metaKey: true", "altKey: true"):
            browser.evaluate(f"document.dispatchEvent(new KeyboardEvent('keydown', {{key: 'r', {more}}}))")
        browser.press("x")
        assert client.view()["answered"] == 0
        press = "document.dispatchEvent(new KeyboardEvent('keydown', {key: 'r'}));"
        browser.evaluate(3 * press)  # at once: only the first is an answer
        browser.wait_for("isAsking && view.answered == 1")
        assert client.view()["answered"] == 1


def test_small_pictures_are_enlarged_by_whole_pixels(tmp_path, browser):
    file = io.BytesIO()
    Image.new("L", (28, 28)).save(file, format="PNG")
    with serving(make_quiz(tmp_path, 2, png=file.getvalue())) as client:
        begin(browser, client)
        script = """(() => { const image = document.querySelector('#place img'), style = getComputedStyle(image);
            return JSON.stringify([image.naturalWidth, image.clientWidth, style.imageRendering]); })()"""
        natural, shown, rendering = json.loads(browser.evaluate(script))
    assert (natural, shown, rendering) == (28, 28 * 12, "pixelated")


def test_a_page_whose_command_has_ended_says_so(tmp_path, browser):
    with serving(make_quiz(tmp_path, 4, png=PNG)) as client:
        begin(browser, client)
    browser.press("r")
    browser.wait_for("!document.getElementById('ended').hidden")
    assert "The answers until now are kept." in browser.evaluate("document.body.innerText")
