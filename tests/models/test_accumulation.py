"""Steps whose batch goes through the networks in parts, against steps on the whole batch."""

import pytest
import torch
from helpers.model_training import RING, SMALL, SMALL_DIGITS, SpoiltData, Stop, ganrun_records, job_of, train
from helpers.run_context import bound

from ganrun.models.steps.accumulation import Accumulation
from ganrun.training.callbacks.nan_guard import NanGuard

DETAILS = ["ema.half_life_kimg=0.05", "schedule=linear_decay", "schedule.end=0.1"]
EXACT = ["trainer.precision=64-true", *DETAILS]
MLP = ["network=mlp", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", *SMALL_DIGITS]
NO_DROPOUT = ["network.generator.dropout=0", "network.discriminator.dropout=0"]
CASES = {
    "gan": RING,
    "gan, clipped": [*RING, "clip=0.01"],
    "gan, k=2": [*RING, "model.d_steps=2"],
    "wgan": [*RING, "model=wgan", "model.n_critic=3", "optimizer.lr=0.01"],
    "gan on images": ["model=gan", *MLP, "data.flip=true"],
    "cgan": ["model=cgan", "network=cgan_mlp", *NO_DROPOUT, *SMALL_DIGITS],
    "cyclegan": SMALL["cyclegan"],  # with a pool of 3 fakes
}
JOINED, PARTS = ["batch_size=12"], ["batch_size=3", "accumulate=4"]


def trained(*overrides, steps=5):
    return train(job_of(*overrides), steps).model


def tensors(model):
    return {key: value for key, value in model.state_dict().items() if torch.is_tensor(value)}


def difference(first, second):
    """Return the largest difference of two models' weights and averages."""
    pairs = [(tensors(first)[key], value) for key, value in tensors(second).items()]
    return max(float((a.double() - b.double()).abs().max()) for a, b in pairs)


SLOW = ("cgan", "cyclegan")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES])
def test_four_parts_end_at_the_weights_of_the_joined_batch(name):
    joined, parts = (trained(*CASES[name], *EXACT, *batch) for batch in (JOINED, PARTS))
    assert (parts.batches_seen, parts.images_seen) == (joined.batches_seen, joined.images_seen) == (5, 60)
    assert parts.some_weight.dtype == torch.float64
    assert difference(parts, joined) < 1e-7
    assert difference(trained(*CASES[name], *EXACT, *JOINED, steps=4), joined) > 1e-5  # a test that can fail


def test_the_terms_of_the_parts_are_those_of_the_joined_batch():
    joined, parts = (trained(*CASES["wgan"], *EXACT, *batch).terms for batch in (JOINED, PARTS))
    assert joined.keys() == parts.keys()
    for player, terms in joined.items():
        assert terms.keys() == parts[player].keys()
        assert all(torch.allclose(parts[player][key], value, rtol=0, atol=1e-9) for key, value in terms.items())


def test_dropout_differs_between_the_parts():
    seen = []
    job = job_of("model=gan", *MLP, "network.discriminator.dropout=0.5", *PARTS)
    job.model.discriminator.layers[3].register_forward_hook(lambda module, args, out: seen.append(out == 0))
    train(job, 1)
    masks = seen[0:8:2]  # of the real parts in the discriminator's turn
    assert not any(torch.equal(a, b) for i, a in enumerate(masks) for b in masks[:i])


def test_only_the_last_part_exchanges_gradients_between_ranks():
    job, synchronized = job_of(*RING, *PARTS), []

    class Blocked:
        def __enter__(self):
            synchronized.append(False)

        def __exit__(self, *error):
            synchronized.append(True)

    trainer = job.build_trainer(callbacks=[Stop(1)])
    trainer.strategy.block_backward_sync = Blocked
    trainer.fit(job.model, datamodule=job.data)
    assert synchronized == 2 * 3 * [False, True]


@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_mixed_precision_adds_up_the_same_gradients_in_its_precision(precision):
    joined, parts = (
        trained(*CASES["gan on images"], f"trainer.precision={precision}", *batch) for batch in (JOINED, PARTS)
    )
    assert 0 < difference(parts, joined) < 2e-3


def test_one_nan_in_one_part_skips_the_whole_step_and_no_other():
    job = job_of(*CASES["gan"], *EXACT, *PARTS, "trainer.batches_per_step=1")
    guard = bound(NanGuard(100, mode="skip"), record=None)
    train(job, 5, SpoiltData(2), guard)
    assert guard.skipping.counts == {"discriminator": 1}
    assert all(w.isfinite().all() for w in job.model.parameters())
    assert job.model.images_seen == 60


def test_batches_per_lightning_step_change_nothing():
    one, many = (trained(*CASES["wgan"], *DETAILS, *PARTS, f"trainer.batches_per_step={n}") for n in (1, 4))
    assert difference(one, many) == 0


def test_a_model_of_ones_own_that_draws_noise_itself_is_trained_too():
    job = job_of(*RING, *PARTS)
    job.model.fake_like = lambda batch: job.model.generator(job.model.noise(len(batch["x"])))
    train(job, 3)
    assert job.model.batches_seen == 3


def test_outside_a_step_nothing_is_shared():
    accumulation = Accumulation(4)
    assert len(accumulation.draw(torch.zeros, 3)) == 3
    assert (accumulation.samples, accumulation.part) == (None, 0)


def test_batch_norm_is_warned_of_by_name(caplog):
    job_of(*SMALL["dcgan"], "batch_size=8", "accumulate=4")
    (record,) = ganrun_records(caplog)
    assert (
        "accumulate=4: BatchNorm takes its statistics from each batch of 8 examples, not from the 32" in record.message
    )


def test_networks_without_batch_norm_are_not_warned_of(caplog):
    job_of(*RING, *PARTS)
    assert not ganrun_records(caplog)


def test_without_accumulation_a_batch_is_not_split():
    assert job_of(*RING).model.accumulation is None
