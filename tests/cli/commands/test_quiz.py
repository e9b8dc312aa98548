"""ganrun quiz: the pictures that it asks for, the command from its start to its end, and what it refuses."""

import io
import json
import os
import re
import shlex
import shutil
import signal
import socket
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.quizzes import Client, make_sheet
from helpers.runs import RING
from helpers.waiting import wait_until
from omegaconf import OmegaConf
from PIL import Image

from ganrun.cli.commands import quiz
from ganrun.cli.main import main
from ganrun.cli.quiz.answers import read_sheets, wilson_interval
from ganrun.cli.quiz.questions import draw_questions, encode_images, target_domain
from ganrun.data.images import to_uint8
from ganrun.data.keys import Key
from ganrun.training.inference import load_trained_model

TINY = ["network.width=4", "batch_size=4", "init.std=0.3", "logger=none", "metrics=none", "kimg=0.008"]
TRANSLATION = ["model=cyclegan", "data=unpaired_digits", "data.size=32", "network.blocks=1"]


@pytest.fixture(scope="module")
def work(workplace):
    """The working folder, with runs of cgan, cyclegan and gan on points, and an exported cgan."""
    assert main(["train", "model=cgan", "data=digits", *TINY, "folder=cgan"]) == 0
    assert main(["train", *TRANSLATION, *TINY, "folder=cyclegan"]) == 0
    assert main(["train", *RING, "folder=points"]) == 0
    assert main(["export", "cgan", "out=exported"]) == 0
    return workplace


def load(run):
    return load_trained_model(OmegaConf.create({"run": str(run), "which": "last", "device": "cpu"}))


@pytest.fixture(scope="module")
def cgan(work):
    return load("cgan")


def pixels(question):
    return np.asarray(Image.open(io.BytesIO(question.png)))


def test_half_of_the_pictures_are_test_images_and_half_are_samples(cgan):
    questions = draw_questions(cgan, make_sheet(40))
    real = [question for question in questions if question.kind == "real"]
    made = [question for question in questions if question.kind == "generated"]
    assert (len(real), len(made)) == (20, 20)
    test = to_uint8(cgan.data.test("x"))[:, 0].numpy()
    assert all((pixels(question) == test[question.index]).all() for question in real)
    assert len({question.index for question in real}) == 20
    assert sorted(question.index for question in made) == [*range(20)]
    assert not any((pixels(question) == test).all((1, 2)).any() for question in made)


def test_samples_have_the_classes_of_the_data(cgan, monkeypatch):
    given = {}
    monkeypatch.setattr(type(cgan), "sample", lambda self, n, **more: given.update(more) or torch.zeros(n, 1, 28, 28))
    draw_questions(cgan, make_sheet(40))
    assert given["y"].tolist() == cgan.data.conditions(20, ["y"])["y"].tolist()


def chunks(png):
    """Names of the chunks of a PNG file, and what the header says: size, depth, colours, filters."""
    names, start = [], 8
    while start < len(png):
        size = int.from_bytes(png[start : start + 4], "big")
        names.append(png[start + 4 : start + 8])
        start += size + 12
    return names, png[16:29]


def test_nothing_but_the_pixels_tells_the_kinds_apart(cgan):
    questions = draw_questions(cgan, make_sheet(40))
    assert {repr(chunks(question.png)) for question in questions} == {repr(chunks(questions[0].png))}
    assert set(chunks(questions[0].png)[0]) == {b"IHDR", b"IDAT", b"IEND"}
    assert all(re.fullmatch("[0-9a-f]{32}", question.token) for question in questions)
    again = draw_questions(cgan, make_sheet(40))
    assert not {question.token for question in questions} & {question.token for question in again}


def test_the_order_is_random(cgan):
    """The number of changes of the kind lies where all but one in a million of random orders have it."""
    changes = []
    for seed in range(10):
        kinds = [question.kind for question in draw_questions(cgan, make_sheet(40, seed=seed))]
        changes.append(sum(a != b for a, b in pairwise(kinds)))
        assert 6 <= changes[-1] <= 34  # a mean of 20, a deviation of 3.1
    assert 15 <= np.mean(changes) <= 25


def test_the_pictures_are_a_function_of_the_seed_and_the_number_of_the_quiz(cgan):
    sheets = [make_sheet(10), make_sheet(10), make_sheet(10, seed=1), make_sheet(10, number=1)]
    first, again, *others = ([question.png for question in draw_questions(cgan, sheet)] for sheet in sheets)
    assert first == again
    assert not any({*first} & {*other} for other in others)


@pytest.mark.parametrize(("to", "source"), [("a", "b"), ("b", "a")])
def test_translations_are_shown_beside_real_images_of_their_domain(work, to, source):
    trained = load("cyclegan")
    assert target_domain(trained, to.upper()) == to
    questions = draw_questions(trained, make_sheet(8, to=to))
    real, originals = (to_uint8(trained.data.test(name)).permute(0, 2, 3, 1).numpy() for name in (to, source))
    for question in questions:
        if question.kind == "real":
            assert (pixels(question) == real[question.index]).all()
        else:
            x = trained.data.test(source, torch.tensor([question.index]))
            expected = to_uint8(trained.translate(x, to))[0].permute(1, 2, 0).int().numpy()
            assert np.abs(pixels(question) - expected).max() <= 1
            assert np.abs(pixels(question) - originals[question.index].astype(int)).max() > 1


def test_colours_and_label_maps_become_pictures():
    (grey,), (colour,) = (encode_images(torch.zeros(1, c, 4, 6), Key("picture", (c, 4, 6))) for c in (1, 3))
    (areas,) = encode_images(torch.ones(1, 4, 6), Key("map", (4, 6)))
    images = [Image.open(io.BytesIO(png)) for png in (grey, colour, areas)]
    assert [(image.mode, image.size) for image in images] == [("L", (6, 4)), ("RGB", (6, 4)), ("RGB", (6, 4))]


# The command


@pytest.fixture
def run(work, tmp_path):
    """A copy of the run of cgan."""
    return shutil.copytree(work / "cgan", tmp_path / "run")


@pytest.fixture
def start(warm, tmp_path, shared_cache):
    """Starts `ganrun quiz` in a process; `quiz.client` talks to it once it serves."""
    started = []

    def start(*args):
        output = tmp_path / f"output-{len(started)}.txt"
        with output.open("wb") as file:
            process = warm.server.start(["quiz", *args], file, {"GANRUN_CACHE": str(shared_cache)}, cwd=str(tmp_path))
        started.append(process)
        wait_until(lambda: process.poll() is not None or "http://" in output.read_text(), 60, output.read_text)
        url = re.search(r"http://\S+", output.read_text())
        return SimpleNamespace(process=process, client=Client(url[0]) if url else None, text=output.read_text)

    yield start
    for process in started:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()


def give_answers(quiz, answers):
    """Give these answers, one after the other. Return the last view."""
    view = quiz.client.view()
    for answer in answers:
        view = quiz.client.answer(view, answer)
    return view


def wait_for_end(quiz):
    """Return the exit code of the process."""
    wait_until(lambda: quiz.process.poll() is not None)
    return quiz.process.returncode


def test_forty_answers_give_the_shares_and_intervals_of_the_file(run, start):
    quiz = start("run", "n=40", "who=ann")
    view = give_answers(quiz, ["real" if i % 3 else "generated" for i in range(40)])
    assert wait_for_end(quiz) == 0
    (sheet,) = read_sheets(run)
    assert (sheet.who, sheet.kimg, len(sheet.answers)) == ("ann", 0.008, 40)
    assert [answer["answer"] for answer in sheet.answers] == ["real" if i % 3 else "generated" for i in range(40)]
    for row, kinds in zip(view["table"][1:], (["generated"], ["real"], ["real", "generated"]), strict=True):
        wrong = [each["answer"] != each["kind"] for each in sheet.answers if each["kind"] in kinds]
        low, high = wilson_interval(sum(wrong), len(wrong))
        share, counts = f"{100 * np.mean(wrong):.0f} %", f"{len(wrong)} answers"
        assert row[1] == f"{share} (95 %: {100 * low:.0f} to {100 * high:.0f} %, {counts})"
        assert re.search(rf"^{row[0]} +{re.escape(row[1])}$", quiz.text(), re.MULTILINE)
    assert "20 pictures generated by cgan after 0.008 kimg, 20 real ones of digits, test split" in quiz.text()
    assert f"40 of 40 answers kept in {run.name}/quiz/{sheet.started}.json" in quiz.text()
    assert "Traceback" not in quiz.text()


def test_a_second_quiz_shows_others_and_is_counted_with_the_first(run, start, capfd):
    for _ in range(2):
        quiz = start("run", "n=2")
        give_answers(quiz, 2 * ["real"])
        wait_for_end(quiz)
    assert "so far    100 % of fakes taken for real (95 %: 21 to 100 %, 1 answer of 1 quiz)" in quiz.text()
    assert re.search(r"this quiz +all 2 quizzes\n", quiz.text())
    assert [sheet.number for sheet in read_sheets(run)] == [0, 1]
    assert main(["status", str(run)]) == 0
    assert "100 % of fakes taken for real (95 %: 34 to 100 %, 2 answers of 2 quizzes)" in " ".join(
        capfd.readouterr().out.split()
    )


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_the_answers_and_prints_the_result(run, start, signum, code):
    quiz = start("run", "n=40")
    give_answers(quiz, 5 * ["real"])
    os.kill(quiz.process.pid, signum)
    assert wait_for_end(quiz) == code
    assert [len(sheet.answers) for sheet in read_sheets(run)] == [5]
    assert re.search(r"wrong in all +\d+ % \(95 %: .*, 5 answers\)\n5 of 40 answers kept in run/quiz/", quiz.text())
    assert "ganrun: interrupted" in quiz.text()
    assert [path.suffix for path in (run / "quiz").iterdir()] == [".json"]


def test_a_quiz_without_answers_leaves_nothing(run, start):
    before = {*run.rglob("*")}
    quiz = start("run", "n=40")
    os.kill(quiz.process.pid, signal.SIGINT)
    wait_for_end(quiz)
    assert "no answers\n" in quiz.text()
    assert {*run.rglob("*")} == before


def test_an_exported_model_is_taken_like_a_run(work, start, tmp_path):
    shutil.copytree(work / "exported", tmp_path / "exported")
    quiz = start("exported", "n=2")
    give_answers(quiz, 2 * ["generated"])
    assert wait_for_end(quiz) == 0
    (sheet,) = read_sheets(tmp_path / "exported")
    assert sheet.checkpoint == "card.json"
    assert main(["sample", str(tmp_path / "exported"), "n=2", f"out={tmp_path / 'out'}"]) == 0


def test_the_answers_of_a_run_go_with_it(run, start):
    quiz = start("run", "n=2")
    give_answers(quiz, 2 * ["generated"])
    wait_for_end(quiz)
    assert main(["runs", "rm", str(run), "--yes"]) == 0
    assert not run.exists()


REFUSED = {
    "cgan n=7": ["n must be an even number from 2 to 5000", "got 7. Use n=8."],
    "cgan n=1": ["got 1. Use n=2."],
    "cgan n=0": ["n must be an integer of at least 1, got 0"],
    "cgan n=5002": ["got 5002. Use n=5000."],
    "cgan n=2002": ["n=2002 needs 1001 real images, but the test split of data=digits has 1000. Use n=2000 or less."],
    "cgan n=4.5": ["n must be an integer"],
    "cgan limit=0": ["limit must be a number above 0 or null, got 0"],
    "cgan limit=-1": ["limit must be a number above 0 or null, got -1"],
    "cgan limit=0.001": ["limit", "At least 0.01."],
    "cgan limit=inf": ["limit", "It must be finite."],
    "cgan port=-1": ["port must be an integer from 0 to 65535, got -1"],
    "cgan port=65536": ["port must be an integer from 0 to 65535, got 65536"],
    "cgan port=TAKEN": ["port=TAKEN cannot be used: Address already in use. Give another one from 1024 to 65535"],
    "cgan who=3": ["who must be a string or null, got the number 3"],
    "cgan open=maybe": ["open must be true or false"],
    "cgan seed=-1": ["seed must be an integer"],
    "cgan data.root=x": ["data=digits reads no files of yours. Leave data.root out."],
    "cgan device=abacus": ["device=abacus is not available"],
    "cgan which=worst": ["worst"],
    "cgan people=3": ["Unknown key people"],
    "": ["quiz needs a run folder, a checkpoint file or the word last"],
    "nowhere": ["nowhere does not exist"],
    "empty": ["empty is a folder without checkpoints"],
    "points": ["gan on ring generates points, and a quiz needs images. To look at its samples: ganrun sample points"],
    "cyclegan to=c": ["to=c is not a domain of the model. Allowed: to=a, to=b."],
    "alone.ckpt": ["alone.ckpt is in no run folder, which keeps the answers. Give the run folder"],
    "occupied": ["occupied/quiz is not a folder, and the answers are kept there. Move it away."],
    "linked": ["linked/quiz is a link to ", "trust=true"],
    "inside": ["inside/quiz is not a folder"],
}


@pytest.fixture(scope="module")
def places(work):
    """The working folder, with what cannot keep answers."""
    (work / "empty").mkdir()
    checkpoint = next((work / "cgan" / "checkpoints").glob("*.ckpt"))
    shutil.copy(checkpoint, work / "alone.ckpt")
    for name in ("occupied", "linked", "inside"):
        shutil.copytree(work / "cgan", work / name)
    (work / "occupied" / "quiz").touch()
    (work / "linked" / "quiz").symlink_to(work / "empty")
    (work / "inside" / "quiz").symlink_to("checkpoints")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield SimpleNamespace(folder=work, port=str(taken.getsockname()[1]))


@pytest.mark.parametrize("args", REFUSED)
def test_a_wrong_command_gets_one_message_and_writes_nothing(places, capfd, args):
    before = {path: path.lstat().st_mtime_ns for path in places.folder.rglob("*")}
    assert main(["quiz", *shlex.split(args.replace("TAKEN", places.port))]) == 2
    err = capfd.readouterr().err
    messages = [line for line in err.splitlines() if line.startswith("ganrun: ")]
    assert len(messages) == 1, err
    for part in REFUSED[args]:
        assert part.replace("TAKEN", places.port) in messages[0]
    assert "Traceback" not in err
    assert {path: path.lstat().st_mtime_ns for path in places.folder.rglob("*")} == before


def test_a_run_that_is_not_writable_is_refused_at_once(work, capfd, monkeypatch):
    monkeypatch.setattr(quiz.os, "access", lambda path, mode: False)
    assert main(["quiz", "cgan"]) == 2
    assert "cgan is not writable, and it keeps the answers. Copy it, and give the copy." in capfd.readouterr().err


def test_the_browser_is_opened_only_if_asked(work, monkeypatch, capfd):
    opened = []
    monkeypatch.setattr(quiz.webbrowser, "open", lambda url: opened.append(url))  # and finds none
    monkeypatch.setattr(quiz.QuizServer, "serve_until_ended", lambda self: self.server_close())
    assert main(["quiz", "cgan", "n=2"]) == 0
    assert opened == []
    assert main(["quiz", "cgan", "n=2", "open=true"]) == 0
    out, err = capfd.readouterr()
    assert opened == [re.findall(r"http://\S+", out)[-1]]
    assert "open=true: no browser was found. Open the address above yourself." in err


def test_a_full_disk_ends_the_command_with_one_message(work, monkeypatch, capfd):
    def fail(server):
        server.server_close()
        server.quiz.failure = OSError(28, "No space left on device", "cgan/quiz/a.json")

    monkeypatch.setattr(quiz.QuizServer, "serve_until_ended", fail)
    assert main(["quiz", "cgan", "n=2"]) == 1
    assert "The disk is full (cgan/quiz/a.json). Free some space" in capfd.readouterr().err


def test_status_as_json_has_the_quizzes(run, start, capfd):
    quiz = start("run", "n=2")
    give_answers(quiz, 2 * ["generated"])
    wait_for_end(quiz)
    assert main(["status", str(run), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["quiz"].startswith(
        "0 % of fakes taken for real (95 %: 0 to 79 %, 1 answer"
    )
