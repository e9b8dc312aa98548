"""The line that one sees while a training runs."""

import io
import logging
from types import SimpleNamespace

import pytest
from helpers.run_context import bound

from ganrun.terminal import format_duration, join_fields
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.callbacks.progress import Progress, format_count

CASES = [  # kimg, minutes, images so far, of which before the clock started, seconds so far, seconds left
    (100, None, 25_000, 0, 50, 150),
    (100, 1, 25_000, 0, 50, 10),
    (100, 10, 25_000, 0, 50, 150),
    (100, None, 0, 0, 5, float("inf")),
    (100, 2, 0, 0, 5, 115),
    (100, 1, 25_000, 0, 70, 0),
    (1, None, 1_040, 0, 9, 0),
    (100, None, 75_000, 50_000, 50, 50),  # a branch of another run
    (100, None, 50_000, 50_000, 5, float("inf")),
]


def progress(record, terms=(), kimg=100, minutes=None):
    """The line of a run with these players' terms."""
    curves = SimpleNamespace(latest={f"train/{name}": value for name, value in dict(terms).items()})
    return bound(Progress(), {LossCurves: curves}, record=record, cfg=SimpleNamespace(kimg=kimg, minutes=minutes))


def record_of(last=None, best=None, monitor="val/fd_lenet", **numbers):
    scores = {"last": {monitor: last} if last else {}, "best": {monitor: best} if best else {}, "monitor": monitor}
    return SimpleNamespace(**{"seconds": 5, "first": 0, "images_per_second": 5e3, **scores, **numbers})


MODEL = SimpleNamespace(images_seen=25_000, progress=0.25)


@pytest.mark.parametrize(("kimg", "minutes", "images", "first", "seconds", "left"), CASES)
def test_the_time_left_is_that_of_the_limit_that_is_reached_first(kimg, minutes, images, first, seconds, left):
    record = SimpleNamespace(seconds=seconds, first=first)
    assert progress(record, kimg=kimg, minutes=minutes).seconds_left(images) == pytest.approx(left)


def test_the_time_left_includes_the_scoring_at_the_end():
    shown = progress(SimpleNamespace(seconds=50, first=0))
    shown.run.own_callbacks = [SimpleNamespace(seconds_at_end=lambda: 12.5)]
    assert shown.seconds_left(25_000) == pytest.approx(162.5)


D = {"discriminator/loss": 1.25, "discriminator/accuracy": 0.5, "discriminator/gradient": 3, "generator/loss": 0.5}
PROBABILITIES = {"discriminator/probability_real": 0.651, "discriminator/probability_fake": 0.42}


@pytest.mark.parametrize(
    ("record", "terms", "line"),
    [
        (record_of(), D, "25 %  25k images  5,000/s  0:15 left  D loss 1.25  G loss 0.5"),
        (record_of(), D | PROBABILITIES, "25 %  25k images  5,000/s  0:15 left  D(real) 0.65  D(fake) 0.42"),
        (record_of(5.9, 5.9), {}, "25 %  25k images  5,000/s  0:15 left  FD 5.9 (best)"),
        (record_of(5.9, 4.8), {}, "25 %  25k images  5,000/s  0:15 left  FD 5.9 (best 4.8)"),
        (record_of(0.9, 0.9, "val/high_quality"), {}, "25 %  25k images  5,000/s  0:15 left  high quality 0.9 (best)"),
    ],
)
def test_the_line_shows_the_score_and_then_how_the_players_stand(record, terms, line):
    assert join_fields(progress(record, terms).fields(MODEL)) == line


@pytest.mark.parametrize("width", range(20, 90))
def test_the_line_ends_with_a_whole_field_where_the_terminal_is_narrow(width):
    shown = progress(record_of(5.9, 5.9), D | PROBABILITIES)
    whole, line = join_fields(shown.fields(MODEL)), join_fields(shown.fields(MODEL), width)
    assert len(line) <= max(width, len("25 %"))
    assert whole == line or whole.startswith(f"{line}  ")
    assert len(whole) <= 80


def test_a_number_of_images_has_three_digits():
    assert [format_count(n) for n in (0, 9_984, 10_000, 306_432, 999_999, 1_530_000)] == [
        "0",
        "9984",
        "10k",
        "306k",
        "1M",
        "1.53M",
    ]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_warning_stands_above_the_line_that_is_redrawn(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    handler = logging.StreamHandler(terminal)
    monkeypatch.setattr(logging.getLogger("ganrun"), "handlers", [handler])
    shown, trainer = progress(record_of()), SimpleNamespace(is_global_zero=True)
    shown.on_train_start(trainer, MODEL)
    shown._show(MODEL)
    logging.getLogger("ganrun").warning("It takes long.")
    shown.on_train_end(trainer, MODEL)
    logging.getLogger("ganrun").warning("It is done.")
    before, after = terminal.getvalue().split("It takes long.\n")
    assert before.count("25 %  25k images") == 1
    assert before.endswith("\x1b[2K")  # the line is gone
    assert "25 %  25k images" in after  # and is drawn anew below
    assert after.endswith("It is done.\n")
    assert handler.stream is terminal


def test_a_time_reads_as_a_clock_shows_it():
    assert [format_duration(seconds) for seconds in (5, 65, 3665, float("inf"))] == ["0:05", "1:05", "1:01:05", "?"]
