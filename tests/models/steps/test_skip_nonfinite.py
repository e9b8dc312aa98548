"""Steps with NaN or Inf gradients are skipped without a trace, up to a limit."""

import logging
import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import RING, SMALL, SpoiltData, job_of, train
from helpers.run_context import bound
from pytorch_lightning.plugins.precision import MixedPrecision

from ganrun.errors import Failure
from ganrun.models import losses
from ganrun.seeds import seed_training_noise
from ganrun.training.callbacks.length import Length
from ganrun.training.callbacks.loss_curves import LossCurves
from ganrun.training.callbacks.nan_guard import NanGuard

QUICK = [*RING, "optimizer.lr=0.01", "ema.half_life_kimg=0.05"]
NAN = float("nan")


def skipping(folder, skips=10, every=50):
    return bound(NanGuard(every, mode="skip", skips=skips), record=SimpleNamespace(folder=folder))


def plain_loop(job, batches, spoilt, skipped):
    """Return the state after a plain loop with NaN in spoilt batches and without the `skipped` (player, batch)."""
    model = job.model
    model.configure_model()
    d_step, g_step = model.configure_optimizers()
    averaged = 0  # images that the average has followed
    for k in range(batches):
        seed_training_noise(torch.device("cpu"), 0, 0, k)
        x = job.data.batch(k)["x"]
        x[0] = NAN if k + 1 in spoilt else x[0]
        fake = model.generator(torch.randn(len(x), model.z_dim)).detach()
        if ("discriminator", k + 1) not in skipped:
            d_step.zero_grad()
            losses.logistic(model.discriminator(x), model.discriminator(fake)).backward()
            d_step.step()
        z = torch.randn(len(x), model.z_dim)
        if ("generator", k + 1) not in skipped:
            g_step.zero_grad()
            losses.non_saturating(model.discriminator(model.generator(z))).backward()
            g_step.step()
            images = (k + 1) * len(x)
            model.average.update(model.averaged["generator"], model.generator, images - averaged, averaged)
            averaged = images
    return model.state_dict()


def test_the_training_continues_exactly_as_without_the_skipped_steps(tmp_path):
    job = job_of(*QUICK)
    spoil = {6: NAN, 8: math.inf}
    weight = next(job.model.generator.parameters())
    weight.register_hook(lambda gradient: gradient * spoil.get(job.model.batches_seen + 1, 1))
    found = train(job, 12, SpoiltData(4, 5), skipping(tmp_path)).model.state_dict()
    skipped = {("discriminator", 4), ("discriminator", 5), ("generator", 6), ("generator", 8)}
    expected = plain_loop(job_of(*QUICK), 12, {4, 5}, skipped)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("model", SMALL)
def test_a_skipped_step_leaves_no_trace_in_statistics_averages_and_pools(model, tmp_path):
    job = train(job_of(*SMALL[model], "ema.half_life_kimg=0.01"), 8, SpoiltData(2, 5), skipping(tmp_path))
    tensors = {name: value for name, value in job.model.state_dict().items() if torch.is_tensor(value)}
    assert all(value.isfinite().all() for value in tensors.values())
    if model == "cyclegan":
        assert all(pool.kept.isfinite().all() for pool in job.model.pools.values())
        assert [int(pool.filled) for pool in job.model.pools.values()] == [3, 3]


class StateBefore(pl.Callback):
    """Copies the model's state besides weights before each batch."""

    def on_train_batch_start(self, trainer, model, batch, batch_idx):
        self.kept = copy_state(model)


def copy_state(model):
    """Return copies of the discriminators' buffers and of the pools' images."""
    buffers = [buffer.clone() for name, buffer in model.named_buffers() if name.startswith("d")]
    pools = model.pools.values() if hasattr(model, "pools") else []
    return [*buffers, *(pool.kept[: int(pool.filled)].clone() for pool in pools if pool.filled)]


@pytest.mark.parametrize(("name", "batches"), [("dcgan", 3), ("cyclegan", 1), ("cyclegan", 2), ("cyclegan", 5)])
def test_statistics_and_pools_are_restored_after_a_batch_of_skipped_steps(name, batches, tmp_path):
    job, before = job_of(*SMALL[name]), StateBefore()
    if name == "dcgan":
        job.model.generator_loss = lambda batch: job.model.generator(job.model.noise(4)).sum() * NAN
    train(job, batches, SpoiltData(batches), before, skipping(tmp_path))
    after = copy_state(job.model)
    assert len(after) == len(before.kept)
    assert all(torch.equal(a, b) for a, b in zip(after, before.kept, strict=True))
    assert bool(after) == (batches > 1)


def test_after_turn_is_not_called_for_a_skipped_step(tmp_path):
    job, turns = job_of("model=wgan", *QUICK[1:]), []
    job.model.after_turn = lambda player: turns.append((job.model.batches_seen + 1, player.name))
    train(job, 6, SpoiltData(3), skipping(tmp_path))
    assert turns == [*((k, "discriminator") for k in (1, 2, 4, 5)), (5, "generator"), (6, "discriminator")]


def test_too_many_skipped_steps_in_a_row_stop_the_training(tmp_path):
    job = job_of(*QUICK)
    with pytest.raises(Failure) as failure:
        train(job, 12, SpoiltData(*range(2, 13)), skipping(tmp_path, skips=3))
    expected = "train/discriminator/gradient was NaN or Inf in 3 steps in a row, the last at 0.064 kimg (batch 4). "
    assert str(failure.value).startswith(f"{expected}Nothing was saved yet.")
    assert job.model.batches_seen == 4


def test_as_many_skipped_steps_with_a_good_one_between_them_do_not(tmp_path):
    guard = skipping(tmp_path, skips=3)
    job = train(job_of(*QUICK), 12, SpoiltData(2, 3, 5, 6, 8, 9, 11, 12), guard)
    assert job.model.batches_seen == 12
    assert guard.skipping.counts == {"discriminator": 8}


def test_a_nan_loss_with_a_finite_gradient_still_stops_the_training(tmp_path):
    job = job_of(*QUICK)
    loss = job.model.generator_loss
    job.model.generator_loss = lambda batch: loss(batch) + (NAN if job.model.batches_seen == 4 else 0)
    with pytest.raises(Failure, match=r"train/generator/loss became NaN at 0.08 kimg \(batch 5\)"):
        train(job, 12, skipping(tmp_path))


class CurvesRecord:
    """A record that stores the curves."""

    images_per_second = 0.0

    def __init__(self, folder):
        self.folder, self.curves_read, self.restart_clock = folder, [], lambda **_: None

    def add_curves(self, images, curves):
        self.curves_read.append(curves)


def test_skipped_steps_are_logged_once_and_counted_in_the_curves(tmp_path, caplog):
    record = CurvesRecord(tmp_path)
    guard = bound(NanGuard(2, mode="skip"), record=record)
    with caplog.at_level(logging.WARNING, "ganrun"):
        train(job_of(*QUICK), 8, SpoiltData(3, 5, 6), guard, bound(LossCurves(2), record=record))
    assert [page.get("train/discriminator/skipped") for page in record.curves_read] == [None, 1, 3, 3]
    assert all(math.isfinite(value) for page in record.curves_read for value in page.values())
    assert [record.getMessage() for record in caplog.records] == [
        "train/discriminator/gradient is NaN or Inf at 0.048 kimg (batch 3): skipping this step and others like it."
    ]


def test_the_counts_continue_from_a_checkpoint(tmp_path):
    first = skipping(tmp_path, skips=4)
    train(job_of(*QUICK), 6, SpoiltData(2, 5, 6), first)
    second = skipping(tmp_path, skips=4)
    second.load_state_dict(first.state_dict())
    with pytest.raises(Failure, match="in 4 steps in a row"):
        train(job_of(*QUICK), 6, SpoiltData(1, 2), second)
    assert second.skipping.counts == {"discriminator": 5}
    assert NanGuard(2).state_dict() == {}


def with_scaler(job, batches, scale, *callbacks):
    """Train in 16 bits with a GradScaler that starts at `scale`; return its scale at the end."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    length = Length(kimg=batches * job.data.batch_size / 1000, minutes=None)
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"], False)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=-1,
        limit_val_batches=0,
        plugins=[MixedPrecision("16-mixed", "cpu", scaler)],
        callbacks=[length, *callbacks],
        **quiet,
    )
    trainer.fit(job.model, datamodule=job.data)
    return scaler.get_scale()


def test_early_overflows_in_16_mixed_lower_the_scale_and_do_not_stop_the_training(tmp_path):
    stop, skip = bound(NanGuard(1), record=SimpleNamespace(folder=tmp_path)), skipping(tmp_path, every=1)
    by_itself, with_skips = (with_scaler(job_of(*QUICK), 12, 2.0**24, guard) for guard in (stop, skip))
    assert by_itself == with_skips < 2.0**24
    assert sum(skip.skipping.counts.values()) == math.log2(2.0**24 / with_skips)


def test_nan_examples_are_skipped_in_16_mixed_too_and_leave_no_trace(tmp_path):
    job, guard = job_of(*SMALL["dcgan"]), skipping(tmp_path)
    assert with_scaler(job, 6, 64.0, SpoiltData(3), guard) == 32.0
    assert guard.skipping.counts == {"discriminator": 1}
    assert all(value.isfinite().all() for value in job.model.state_dict().values())
