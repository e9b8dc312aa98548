"""The line that one sees while a training runs."""

import io
import logging
from types import SimpleNamespace

import pytest
from helpers.run_context import bound

from ganrun.terminal import format_duration
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.callbacks.progress import Progress

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


@pytest.mark.parametrize(("kimg", "minutes", "images", "first", "seconds", "left"), CASES)
def test_the_time_left_is_that_of_the_limit_that_is_reached_first(kimg, minutes, images, first, seconds, left):
    record = SimpleNamespace(seconds=seconds, first=first)
    assert progress(record, kimg=kimg, minutes=minutes).seconds_left(images) == pytest.approx(left)


def test_the_line_shows_losses_and_accuracy_and_no_norms_of_gradients():
    record = SimpleNamespace(seconds=5, first=0, images_per_second=5e3, monitor="val/fid", best={}, last={})
    terms = {"discriminator/loss": 1.25, "discriminator/accuracy": 0.5, "discriminator/gradient": 3}
    line = progress(record, terms).line(SimpleNamespace(images_seen=25_000))
    assert line == "25.0/100 kimg  5,000 images/s  0:15 left  D.loss 1.25  D.accuracy 0.5"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_warning_stands_above_the_line_that_is_redrawn(monkeypatch):
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr", terminal)
    handler = logging.StreamHandler(terminal)
    monkeypatch.setattr(logging.getLogger("ganrun"), "handlers", [handler])
    record = SimpleNamespace(seconds=5, first=0, images_per_second=5e3, monitor="val/fid", best={}, last={})
    shown = progress(record)
    trainer, model = SimpleNamespace(is_global_zero=True), SimpleNamespace(images_seen=25_000)
    shown.on_train_start(trainer, model)
    shown._show(model)
    logging.getLogger("ganrun").warning("It takes long.")
    shown.on_train_end(trainer, model)
    logging.getLogger("ganrun").warning("It is done.")
    before, after = terminal.getvalue().split("It takes long.\n")
    assert before.count("25.0/100 kimg") == 1
    assert before.endswith("\x1b[2K")  # the line is gone
    assert "25.0/100 kimg" in after  # and is drawn anew below
    assert after.endswith("It is done.\n")
    assert handler.stream is terminal


def test_a_time_reads_as_a_clock_shows_it():
    assert [format_duration(seconds) for seconds in (5, 65, 3665, float("inf"))] == ["0:05", "1:05", "1:01:05", "?"]
