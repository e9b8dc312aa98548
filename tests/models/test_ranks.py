"""Two processes against one: Lightning starts the second, gloo exchanges the gradients."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import two_ranks

from ganrun.seeds import seed_training_noise


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """The results of each of two ranks."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, two_ranks.__file__, str(folder)]
    paths = [str(Path(two_ranks.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0, result.stderr
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", two_ranks.CASES)
def test_two_ranks_end_at_the_weights_of_one_process_on_the_joined_batch(ranks, name):
    expected = two_ranks.weights_of(name, devices=1)
    for found in ranks:
        assert list(found[name]) == list(expected)
        for key, value in expected.items():
            assert value.dtype == torch.float64
            assert torch.allclose(found[name][key], value, rtol=0, atol=1e-12), key


def test_two_ranks_that_train_in_parts_end_at_the_weights_of_one_process_on_the_joined_batch(ranks):
    expected = two_ranks.weights_of("gan", devices=1)
    for weights in (two_ranks.accumulated(devices=1), *(rank["accumulated"] for rank in ranks)):
        for key, value in expected.items():
            assert torch.allclose(weights[key], value, rtol=0, atol=1e-12), key


@pytest.mark.parametrize("name", two_ranks.CASES)
def test_the_supplied_batches_train_every_player(name):
    start = two_ranks.job_of(*two_ranks.CASES[name], *two_ranks.EXACT).model.double()
    trained = two_ranks.weights_of(name, devices=1)
    assert all(
        not torch.allclose(trained[key], w, rtol=0, atol=1e-6) for key, w in start.named_parameters() if w.ndim > 1
    )


def test_two_ranks_score_with_the_statistics_of_the_first(ranks):
    (first, first_scored), (second, second_scored) = (found["statistics"] for found in ranks)
    assert any(not torch.equal(first[key], second[key]) for key in first)
    for key, value in first.items():
        assert torch.equal(first_scored[key], value)
        assert torch.equal(second_scored[key], value)


def test_two_ranks_sample_different_noise(ranks):
    first, second = (found["noise"] for found in ranks)
    assert len(first) == len(second) == 2 * two_ranks.BATCHES
    assert not any(torch.equal(a, b) for a in first for b in second)


def test_the_noise_of_a_rank_is_that_of_its_seed_for_each_batch(ranks):
    for rank, found in enumerate(ranks):
        for k in range(two_ranks.BATCHES):
            seed_training_noise(torch.device("cpu"), 5, rank, k)
            for z in found["noise"][2 * k : 2 * k + 2]:
                assert torch.equal(z, torch.randn(z.shape))


def test_two_ranks_skip_the_same_steps_as_one_process(ranks):
    expected, counts = two_ranks.skipping(devices=1)
    assert counts == {"discriminator": 1}
    for weights, found in (rank["skipping"] for rank in ranks):
        assert found == counts
        for key, value in expected.items():
            assert torch.allclose(weights[key], value, rtol=0, atol=1e-12), key


def test_both_ranks_stop_if_the_loss_of_one_becomes_nan(ranks):
    one, first, second = (
        message.split(", ")[0] for message in (two_ranks.stopping(1), *(r["stopping"] for r in ranks))
    )
    assert one == first == second == "train/discriminator/loss became NaN at 0.048 kimg (batch 6)"
