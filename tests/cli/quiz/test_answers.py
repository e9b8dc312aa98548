"""The statistics of quizzes, and files of answers that somebody else may have written."""

import json
import os

import pytest
from helpers.hostile import SEQUENCES
from helpers.quizzes import make_answers, make_sheet
from helpers.run_folders import make_run
from scipy.stats import binomtest

from ganrun.cli.main import main
from ganrun.cli.quiz import answers
from ganrun.cli.quiz.answers import compare_with_all, describe_quizzes, error_shares, read_sheets, wilson_interval

GOOD = make_answers(9, 28, 5, 28)


@pytest.mark.parametrize("total", [1, 2, 7, 40, 1000])
def test_the_interval_is_that_of_scipy(total):
    for count in {0, 1, total // 3, total // 2, total - 1, total}:
        expected = binomtest(count, total).proportion_ci(method="wilson")
        assert wilson_interval(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_the_limits_of_the_interval_solve_the_score_test():
    for limit in wilson_interval(13, 40):
        z = (13 / 40 - limit) / (limit * (1 - limit) / 40) ** 0.5
        assert abs(z) == pytest.approx(1.959964, abs=1e-6)


def test_the_shares_are_counts_of_wrong_answers():
    sheet = make_sheet(56, answers=GOOD)
    assert [(share.wrong, share.total) for share in error_shares([sheet])] == [(9, 28), (5, 28), (14, 56)]
    assert str(error_shares([sheet])[0]) == "32 % (95 %: 18 to 51 %, 28 answers)"
    assert [str(share) for share in error_shares([])] == 3 * ["no answers"]


def save(run, name="a", **entries):
    (run / "quiz").mkdir(exist_ok=True)
    answers.write_sheet(run / "quiz" / f"{name}.json", make_sheet(56, **entries))


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    return make_run(tmp_path / "run")


def status_line(capfd):
    assert main(["status", "run"]) == 0
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("quiz")]
    return lines[0].removeprefix("quiz").strip() if lines else None


def test_status_shows_the_share_of_fakes_taken_for_real_of_all_quizzes(run, capfd):
    assert status_line(capfd) is None
    save(run, "a", answers=GOOD[:28])  # the wrong ones come first
    save(run, "b", answers=GOOD[28:])
    assert status_line(capfd) == "32 % of fakes taken for real (95 %: 18 to 51 %, 28 answers of 2 quizzes) after 2 kimg"
    assert main(["status", "run", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["quiz"] == describe_quizzes(run)


def test_quizzes_of_another_checkpoint_or_limit_are_counted_apart(run):
    for name, protocol in {"a": {}, "b": {"limit": 0.5}, "c": {"kimg": 4.0}}.items():
        save(run, name, started=name, answers=GOOD, **protocol)
    share = "32 % of fakes taken for real (95 %: 18 to 51 %, 28 answers of 1 quiz)"
    assert describe_quizzes(run) == f"{share} after 2 kimg; {share} after 2 kimg, shown for 0.5 s; {share} after 4 kimg"
    save(run, "d", answers=GOOD)
    head, *rows = compare_with_all(make_sheet(56, answers=GOOD), run)
    assert head == ["", "this quiz", "all 2 quizzes"]
    assert rows[2] == ["wrong in all", "25 % (95 %: 16 to 38 %, 56 answers)", "25 % (95 %: 18 to 34 %, 112 answers)"]


HOSTILE = {
    "empty": "",
    "half": '{"started": "2026',
    "a list": "[]",
    "nothing": "{}",
    "deep": "[" * 200_000,
    "large": " " * (answers.MAX_BYTES + 1),
    "long number": '{"kimg": ' + "9" * 5000 + "}",
    "not UTF-8": "\udcff",
    "answers": json.dumps({**vars(make_sheet()), "answers": [{"kind": "real", "answer": ["real"]}]}),
    "kimg": json.dumps({**vars(make_sheet()), "kimg": float("nan"), "answers": GOOD}),
    "more": json.dumps({**vars(make_sheet()), "answers": {}, "__class__": "x"}),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_damaged_file_is_left_out_of_status(run, capfd, content):
    save(run, answers=GOOD)
    (run / "quiz" / "b.json").write_bytes(content.encode(errors="surrogateescape"))
    assert main(["status", "run"]) == 0
    out, err = capfd.readouterr()
    assert "28 answers of 1 quiz)" in out
    assert "run/quiz: answers in files that are damaged or no plain files are left out" in err


def test_texts_of_a_stranger_do_not_control_the_terminal(run, capfd):
    text = "".join(SEQUENCES)
    for name, protocol in {"a": {"to": text}, "b": {"data": text, "who": text, "started": text}}.items():
        save(run, name, answers=GOOD, **protocol)
    (run / "quiz" / f"{text.replace('/', '')[:50]}.json").touch()
    assert main(["status", "run"]) == 0
    printed = "".join(capfd.readouterr())
    assert "of fakes taken for real" in printed
    assert not [c for c in printed if (c < " " and c != "\n") or "\x7f" <= c < "\xa0"]


def as_link(run):
    (run / "quiz").rename(run.parent / "elsewhere")
    (run / "quiz").symlink_to(run.parent / "elsewhere")


def as_file(run):
    (run / "quiz" / "a.json").unlink()
    (run / "quiz").rmdir()
    (run / "quiz").write_text("x")


def with_link(run):
    (run / "quiz" / "a.json").rename(run.parent / "elsewhere.json")
    (run / "quiz" / "a.json").symlink_to(run.parent / "elsewhere.json")


def with_fifo(run):
    (run / "quiz" / "a.json").unlink()
    os.mkfifo(run / "quiz" / "a.json")


@pytest.mark.parametrize("damage", [as_link, as_file, with_fifo, with_link])
def test_what_is_no_folder_of_files_is_not_read(run, damage):
    save(run, answers=GOOD)
    damage(run)
    assert read_sheets(run) == []
    assert main(["status", "run"]) == 0


def test_only_so_many_files_are_read(run, monkeypatch):
    monkeypatch.setattr(answers, "MAX_FILES", 3)
    for i in range(5):
        save(run, str(i), answers=GOOD)
    assert len(read_sheets(run)) == 3


def test_only_so_many_bytes_are_read(run, monkeypatch, caplog):
    for i in range(3):
        save(run, str(i), answers=GOOD)
    monkeypatch.setattr(answers, "MAX_BYTES_IN_ALL", 2 * (run / "quiz" / "0.json").stat().st_size)
    assert len(read_sheets(run)) == 2
    assert "beyond" in caplog.text


def test_two_quizzes_that_start_in_one_second_have_two_files(run):
    paths = [answers.claim_file(run, "2026-11-21-120000") for _ in range(3)]
    assert [path.name for path in paths] == [f"2026-11-21-120000{more}.json" for more in ("", "-2", "-3")]


def test_the_longest_quiz_fits_into_its_file(tmp_path):
    path = tmp_path / "a.json"
    longest = {"kind": "generated", "answer": "generated", "seconds": 99999.999, "index": 999_999_999}
    answers.write_sheet(path, make_sheet(answers=[longest] * answers.MAX_PICTURES))
    assert len(answers.read_sheet(path).answers) == answers.MAX_PICTURES
