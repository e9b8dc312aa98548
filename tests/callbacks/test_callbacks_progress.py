"""The line that one sees while a training runs."""

from types import SimpleNamespace

import pytest

from ganrun.callbacks.progress import Progress, clock

CASES = [  # kimg, minutes, images so far, seconds so far, seconds left
    (100, None, 25_000, 50, 150),
    (100, 1, 25_000, 50, 10),
    (100, 10, 25_000, 50, 150),
    (100, None, 0, 5, float("inf")),
    (100, 2, 0, 5, 115),
    (100, 1, 25_000, 70, 0),
    (1, None, 1_040, 9, 0),
]


@pytest.mark.parametrize(("kimg", "minutes", "images", "seconds", "left"), CASES)
def test_the_time_left_is_that_of_the_limit_that_is_reached_first(kimg, minutes, images, seconds, left):
    record = SimpleNamespace(seconds=seconds)
    assert Progress(record, None, kimg, minutes).left(images) == pytest.approx(left)


def test_a_time_reads_as_a_clock_shows_it():
    assert [clock(seconds) for seconds in (5, 65, 3665, float("inf"))] == ["0:05", "1:05", "1:01:05", "?"]
