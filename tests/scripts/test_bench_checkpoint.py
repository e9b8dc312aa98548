"""The benchmark of saving."""

from importlib import import_module
from pathlib import Path

import pytest


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    return import_module("bench_checkpoint")


def test_the_shares_count_stops_and_slower_batches(bench):
    clock = bench.Clock(io=None, idle=[1.0, 1.0, 1.0], busy=[1.5, 1.5], still=[0.0, 0.5, 0.0, 0.5, 0.0, 1.0])
    clock.saves, clock.written, clock.seconds = [0.5, 0.5], [2.0, 2.0], 8.0
    found = bench.summarize("a work", clock, speed=0.01)
    assert found["percent_still"] == pytest.approx(100 * 2 / 8)
    assert found["percent_with_slower_batches"] == pytest.approx(100 * 3 / 8)
    assert found["percent_of_1000_kimg"] == pytest.approx(100 * 3 / (1000 / 0.01))
    assert (found["saves"], found["seconds_still_at_the_end"]) == (2, 1.0)


@pytest.mark.slow
def test_a_training_is_timed_as_the_command_runs_it(bench):
    overrides = "model=gan data=ring network.generator.hidden=[8] network.discriminator.hidden=[8] batch_size=20"
    clock, speed = bench.train(bench.Work("ring", [*overrides.split(), "minutes=0.02"], 0, 0))
    batches = len(clock.idle) + len(clock.busy)
    assert batches == len(clock.still) - 1 == pytest.approx(speed * clock.seconds * 1000 / 20)
    assert 10 <= len(clock.saves) == len(clock.written) <= 11
    assert clock.busy
    assert 0 < sum(clock.saves) <= sum(clock.still) < clock.seconds
