"""Trainings that are spoilt at a known batch: what stops them, what they say of it, and what they have saved."""

import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import RING, SMALL, job_of, train
from helpers.run_context import bound
from torch.utils._python_dispatch import TorchDispatchMode

from ganrun.errors import Failure
from ganrun.training.callbacks.nan_guard import NanGuard

QUICK = [*RING, "optimizer.lr=0.01"]
NAN = float("nan")


class Spoiling(pl.Callback):
    """Calls `before(model, batch)` ahead of batch number `k`, the first being 1, and `after(model)` behind it."""

    def __init__(self, k, before=None, after=None):
        self.k, self.before, self.after = k, before, after

    def on_train_batch_start(self, trainer, model, batches, batch_idx):
        if self.before and model.batches_seen == self.k - 1:
            self.before(model, *batches)

    def on_train_batch_end(self, trainer, model, *arguments):
        if self.after and model.batches_seen == self.k:
            self.after(model)


class Saving(pl.Callback):
    """Saves every `every` batches, if the guard lets it, and notes which."""

    def __init__(self, guard, every):
        self.guard, self.every, self.saved = guard, every, []

    def on_train_batch_end(self, trainer, model, *arguments):
        if model.batches_seen % self.every == 0:
            self.guard.check(trainer, model)
            self.saved.append(model.batches_seen)
            assert all(value.isfinite().all() for value in model.state_dict().values() if torch.is_tensor(value))


def guard_of(folder, every=50, **settings):
    return bound(NanGuard(every, **settings), record=SimpleNamespace(folder=folder))


def stopped(job, folder, *callbacks, checks=50, saves=3):
    """What a training that is saved every third batch says when it is stopped, and the batches that it had saved."""
    guard = guard_of(folder, checks)
    saving = Saving(guard, saves)
    with pytest.raises(Failure) as failure:
        train(job, 12, *callbacks, guard, saving)
    return str(failure.value).split(". ")[0], saving.saved


def spoil(name, value=NAN):
    """Puts `value` into one place of a parameter or buffer."""

    def act(model):
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        tensors[name].data.view(-1)[-1] = value

    return act


def first_weight(net):
    return next(name for name, _ in net.named_parameters())


@pytest.mark.parametrize(
    ("net", "terms"),
    [("generator", ", and so did fake, but not real"), ("discriminator", ", and so did real and fake")],
)
def test_a_spoilt_weight_stops_the_training_at_the_first_loss_that_it_spoils_before_the_next_save(net, terms, tmp_path):
    job = job_of(*QUICK)
    name = f"{net}.{first_weight(getattr(job.model, net))}"
    message, saved = stopped(job, tmp_path, Spoiling(4, after=spoil(name)))
    assert message == f"train/discriminator/loss became NaN at 0.08 kimg (batch 5){terms}"
    assert saved == [3]


def test_a_spoilt_example_stops_the_training_and_the_scores_of_the_real_ones_are_named(tmp_path):
    def before(model, batch):
        batch["x"][3, 1] = NAN

    message, saved = stopped(job_of(*QUICK), tmp_path, Spoiling(5, before))
    assert message == "train/discriminator/loss became NaN at 0.08 kimg (batch 5), and so did real, but not fake"
    assert saved == [3]


def spoilt_gradient(job, net, batch, value=NAN):
    weight = next(getattr(job.model, net).parameters())
    weight.register_hook(lambda gradient: gradient * value if job.model.batches_seen == batch - 1 else gradient)


@pytest.mark.parametrize(("value", "kind"), [(NAN, "NaN"), (math.inf, "infinite")])
def test_a_spoilt_gradient_is_named_if_the_check_falls_on_its_batch(value, kind, tmp_path):
    job = job_of(*QUICK)
    spoilt_gradient(job, "generator", 6, value)
    message, saved = stopped(job, tmp_path)
    assert message == f"train/generator/gradient became {kind} at 0.096 kimg (batch 6)"
    assert saved == [3]


def test_a_spoilt_gradient_of_the_discriminator_is_known_by_the_loss_of_the_turn_after_it(tmp_path):
    job = job_of(*QUICK)
    spoilt_gradient(job, "discriminator", 6)
    message, saved = stopped(job, tmp_path)
    assert message == "train/generator/loss became NaN at 0.096 kimg (batch 6)"
    assert saved == [3]


def test_a_gradient_that_was_spoilt_between_two_checks_shows_in_the_first_loss_after_it(tmp_path):
    job = job_of(*QUICK)
    spoilt_gradient(job, "generator", 4)
    message, saved = stopped(job, tmp_path)
    assert message == "train/discriminator/loss became NaN at 0.08 kimg (batch 5), and so did fake, but not real"
    assert saved == [3]


def test_an_infinite_loss_of_finite_scores_is_reported_as_infinite(tmp_path):
    job = job_of(*QUICK)
    loss = job.model.discriminator_loss

    def spoilt(batch):
        terms = loss(batch)
        return terms | {"loss": terms["loss"] + (math.inf if job.model.batches_seen == 7 else 0)}

    job.model.discriminator_loss = spoilt
    message, saved = stopped(job, tmp_path)
    assert message == "train/discriminator/loss became infinite at 0.128 kimg (batch 8), but not real or fake"
    assert saved == [3, 6]


@pytest.mark.parametrize("value", [NAN, -math.inf])
@pytest.mark.parametrize("name", ["generator.unused", "averaged.generator.unused", "discriminator.count"])
def test_a_spoilt_weight_that_no_loss_shows_is_named_before_it_is_saved(name, value, tmp_path):
    job = job_of(*QUICK, "ema.half_life_kimg=0.1")
    job.model.generator.unused = torch.nn.Parameter(torch.zeros(3), requires_grad=False)
    job.model.discriminator.register_buffer("count", torch.zeros(2))
    message, saved = stopped(job, tmp_path, Spoiling(5, after=spoil(name, value)))
    kind = "NaN" if math.isnan(value) else "infinite"
    assert message == f"{name} became {kind} at 0.096 kimg (batch 6)"
    assert saved == [3]


def test_large_finite_weights_and_empty_ones_are_let_be(tmp_path):
    job = job_of(*QUICK)
    job.model.generator.register_buffer("large", torch.full((100,), 3e38))
    job.model.generator.register_buffer("empty", torch.empty(0))
    job.model.generator.register_buffer("whole", torch.tensor(2**62))
    assert train(job, 3, guard_of(tmp_path, 1)).model.batches_seen == 3


def test_without_saves_it_is_found_at_the_next_check_or_at_the_end(tmp_path):
    for checks, seen in ((4, 8), (50, 12)):
        job = job_of(*QUICK)
        spoilt_gradient(job, "generator", 5)
        message, saved = stopped(job, tmp_path, checks=checks, saves=50)
        assert "at 0.096 kimg (batch 6), and so did fake" in message
        assert (job.model.batches_seen, saved) == (seen, [])


@pytest.mark.parametrize("mode", ["stop", "skip"])
@pytest.mark.parametrize("model", SMALL)
def test_a_sound_training_ends_at_the_same_weights_with_a_guard_and_without(model, mode, tmp_path):
    overrides = [*SMALL[model], "ema.half_life_kimg=0.01"]
    plain = train(job_of(*overrides), 6).model.state_dict()
    guarded = train(job_of(*overrides), 6, guard_of(tmp_path, 2, mode=mode)).model.state_dict()
    assert all(torch.equal(plain[name], guarded[name]) for name in plain if torch.is_tensor(plain[name]))


class Operations(TorchDispatchMode):
    """Notes what is computed while it is entered."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        self.names.append(str(function))
        return function(*arguments, **(keywords or {}))


class Watched(NanGuard):
    """A guard that counts what it computes after each batch, and in a second check of a batch."""

    def on_train_start(self, *arguments):
        super().on_train_start(*arguments)
        self.computed, self.again = [], 0

    def on_train_batch_end(self, trainer, model, *arguments):
        with Operations() as operations:
            super().on_train_batch_end(trainer, model, *arguments)
        self.computed.append(len(operations.names))
        if model.batches_seen % self.every == 0:
            with Operations() as operations:
                self.check(trainer, model)
            self.again += len(operations.names)


def test_between_two_checks_nothing_is_computed_and_a_second_check_of_a_batch_is_free(tmp_path):
    guard = Watched(3)
    train(job_of(*QUICK), 7, guard)
    assert [n > 0 for n in guard.computed] == [False, False, True, False, False, True, False]
    assert guard.again == 0


def test_terms_kept_for_a_check_are_released_after_it(tmp_path):
    guard = guard_of(tmp_path, 4)
    train(job_of(*QUICK), 6, guard)
    assert guard.turns == []
    model = SimpleNamespace(
        terms={"d": {"loss": torch.zeros(()), "map": torch.zeros(5000)}}, images_seen=8, batches_seen=1
    )
    guard.on_train_batch_end(None, model, None, None, 0)
    assert [*guard.turns[0].terms] == ["loss"]
