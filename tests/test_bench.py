"""The script that measures speed: by turns, the same work on both sides, and the form of what it writes."""

import importlib.util
import sys
from dataclasses import replace
from math import comb
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig

SCRIPT = Path(__file__).parents[1] / "scripts" / "bench.py"


@pytest.fixture
def bench():
    spec = importlib.util.spec_from_file_location("bench", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = module  # a dataclass looks up its own module
    spec.loader.exec_module(module)
    before, config = torch.get_num_threads(), HydraConfig.instance().cfg
    torch.set_num_threads(1)
    yield module
    torch.set_num_threads(before)
    HydraConfig.instance().cfg = config
    del sys.modules["bench"]


@pytest.mark.parametrize("n", [6, 15, 21, 30])
def test_the_interval_is_the_narrowest_pair_of_order_statistics_with_its_confidence(bench, n):
    low, high = bench.interval(list(range(1, n + 1)))
    missed = [2 * sum(comb(n, i) for i in range(k)) / 2**n for k in (low, low + 1)]
    assert low + high == n + 1
    assert missed[0] <= 0.05 < missed[1]


def test_few_rounds_give_the_extremes(bench):
    assert bench.interval([2.0, 1.0, 3.0]) == (1.0, 3.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RING", "DCGAN"])
def test_both_sides_do_the_same_batches_by_turns_and_make_one_row_each(bench, name):
    work = getattr(bench, name)
    small = replace(work, pictures=130, overrides=[*work.overrides, "network.width=4"]) if work.pictures else work
    turns = bench.by_turns(small, rounds=4, batches=2)
    assert turns.our_batches == 10
    assert {other.batches for other in turns.others.values()} == {10}
    assert len(turns.ours) == 5
    for row, other in zip(bench.rows(small, turns), small.others, strict=True):
        assert [*row] == ["work", "against", "ratio", "low", "high", "rounds", "machine"]
        assert (row["work"], row["against"], row["rounds"]) == (work.name, other, 4)
        assert 0 < row["low"] <= row["ratio"] <= row["high"]


@pytest.mark.slow
def test_the_example_starts_from_the_models_weights_and_moves_both_networks(bench, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
        job = bench.job_of(bench.RING, tmp_path)
        example = bench.Example(job, bench.indexed)
    for ours, theirs in ((job.model.generator, example.generator), (job.model.discriminator, example.discriminator)):
        assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
    example.seconds(1)
    for ours, theirs in ((job.model.generator, example.generator), (job.model.discriminator, example.discriminator)):
        assert not any(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))
