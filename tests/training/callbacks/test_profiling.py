"""The profile: each second counts once, where it was spent."""

import pytest

from ganrun.training.callbacks.profiling import Profiling, Stopwatch


class Time:
    """A clock that goes on only when told to."""

    def __init__(self):
        self.now = 0.0
        self.watch = Stopwatch(clock=lambda: self.now)

    def takes(self, seconds):
        def work():
            self.now += seconds

        return work


def test_a_span_within_another_takes_its_seconds_from_it():
    time = Time()
    inner = time.watch.timed(time.takes(2), "inner")

    def outer():
        time.takes(1)()
        inner()
        inner()
        time.takes(4)()

    time.watch.enter("rest")
    time.takes(8)()
    time.watch.timed(outer, "outer")()
    time.watch.leave()
    assert time.watch.seconds == {"rest": 8, "outer": 5, "inner": 4}
    assert sum(time.watch.seconds.values()) == time.now


def test_a_span_may_be_named_by_what_is_done():
    time = Time()
    work = time.watch.timed(lambda who, seconds: time.takes(seconds)(), lambda who, seconds: who)
    work("discriminator", 1)
    work("generator", 2)
    work("discriminator", 4)
    assert time.watch.seconds == {"discriminator": 5, "generator": 2}


def test_items_are_timed_as_they_are_made_and_not_as_they_are_used():
    time = Time()

    def items():
        for seconds in (1, 2, 4):
            time.takes(seconds)()
            yield seconds

    time.watch.enter("rest")
    found = []
    for item in time.watch.timed_items(items(), "data"):
        found.append(item)
        time.takes(16)()
    time.watch.leave()
    assert found == [1, 2, 4]
    assert time.watch.seconds == {"rest": 48, "data": 7}


def test_work_that_fails_closes_its_span():
    time = Time()
    time.watch.enter("rest")
    with pytest.raises(ZeroDivisionError):
        time.watch.timed(lambda: 1 / 0, "broken")()
    assert time.watch.open == ["rest"]


def test_the_device_is_waited_for_before_the_clock_is_read():
    said = []
    watch = Stopwatch(lambda: said.append("settled"), lambda: said.append("read") or 0.0)
    watch.timed(lambda: said.append("worked"), "work")()
    assert said == ["settled", "read", "worked", "settled", "read"]


def test_the_table_has_the_largest_part_first_and_shares_of_the_whole(tmp_path):
    profiling = Profiling()
    profiling.folder = tmp_path
    profiling.watch, profiling.batches = Stopwatch(), 4
    profiling.watch.seconds.update({"data": 0.5, "generator": 1.5})
    assert profiling.rows() == [("generator", 375.0, 0.75), ("data", 125.0, 0.25)]
    assert [line.split() for line in profiling.text().splitlines()[2:]] == [
        ["generator", "375.000", "75.0%"],
        ["data", "125.000", "25.0%"],
    ]
