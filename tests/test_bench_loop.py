"""The measurement of the training step: by turns, the same work on both sides."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hydra.core.hydra_config import HydraConfig


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    before, config = torch.get_num_threads(), HydraConfig.instance().cfg
    torch.set_num_threads(1)
    yield import_module("bench_loop")
    torch.set_num_threads(before)
    HydraConfig.instance().cfg = config


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RING", "DCGAN"])
def test_both_sides_do_the_same_batches_by_turns_and_are_compared_one_by_one(bench, name):
    work = getattr(bench, name)
    small = replace(work, pictures=130, overrides=[*work.overrides, "network.width=4"]) if work.pictures else work
    turns = bench.by_turns(small, rounds=4, batches=2)
    assert turns.our_batches == 10
    assert {other.batches for other in turns.others.values()} == {10}
    assert len(turns.ours) == 5
    for found, other in zip(bench.compared(small, turns), small.others, strict=True):
        assert (found["work"], found["against"], len(found["ratios"])) == (work.name, other, 4)
        assert min(found["ratios"]) > 0


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
