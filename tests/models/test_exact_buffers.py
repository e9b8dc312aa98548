"""Counts and small steps of modules whose weights have 16 bits."""

import pytest
import torch
from helpers.model_training import RECONSTRUCTING, job_of, train

from ganrun.models.equilibrium import Equilibrium
from ganrun.networks.augmentation import Augmentation


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_balance_moves_by_small_steps(dtype):
    objective = Equilibrium(gamma=1.0, rate=1e-3).to(dtype)
    objective.k.fill_(0.5)
    objective.discriminator(torch.tensor([-0.2], dtype=dtype), torch.tensor([-0.1], dtype=dtype))
    assert objective.k.item() == pytest.approx(0.5 + 1e-3 * 0.1, abs=1e-6)


def test_a_share_grows_by_a_batch_of_many():
    augmentation = Augmentation(["colour"], 0.5).to(torch.bfloat16)
    augmentation.share += 64 / 500_000
    assert augmentation.share.item() == pytest.approx(0.500128, abs=1e-7)


@pytest.mark.parametrize(("dtype", "kept"), [(torch.float64, torch.float64), (torch.float32, torch.float32)])
def test_more_bits_are_taken(dtype, kept):
    assert Equilibrium(1.0, 1.0).to(dtype).k.dtype == kept


def test_a_training_in_bfloat16_counts_its_batches():
    job = job_of(
        *RECONSTRUCTING["began"], "trainer.precision=bf16-true", "model.stall_kimg=1000", "ema.half_life_kimg=null"
    )
    job.model.totals[1] = 300
    train(job, 2)
    assert job.model.totals[1] == 302
    assert job.model.some_weight.dtype == torch.bfloat16
