"""Turns that are recorded and replayed: as CUDA graphs where there is a GPU, by a stand-in for them everywhere."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import RING, SMALL, SpoiltData, Stop, job_of, train
from helpers.recorder import Recorder
from helpers.run_context import bound

from ganrun.errors import Failure
from ganrun.models.steps.graph_replay import WARMUP_STEPS, GraphedSteps
from ganrun.training.callbacks.nan_guard import NanGuard

CASES = {
    **SMALL,
    "channels last": [*SMALL["dcgan"], "channels_last=true"],
    "averaged": [*SMALL["dcgan"], "ema.half_life_kimg=0.02"],
    "clipped": [*SMALL["dcgan"], "clip=0.1"],
    "dropout": [*RING, "network.discriminator.dropout=0.5"],
    "several turns of the discriminator": [*RING, "model.k=3"],
    "bfloat16": [*SMALL["dcgan"], "trainer.precision=bf16-mixed"],
    "sgd": [*RING, "optimizer=sgd"],
    "told the class late": ["model=cgan", "network=cgan_hidden", "network.width=4", "data=digits", "batch_size=4"],
}
LONG = 40  # batches


class Replaying(pl.Callback):
    """Has the model's turns recorded by the stand-in."""

    def __init__(self):
        self.recorder = Recorder()

    def on_train_start(self, trainer, model):
        model.graphed_steps = GraphedSteps(model, self.recorder)


class Told(pl.Callback):
    """Keeps what curves and guards are told of after each batch: the terms of the last turns, the gradients' norms."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        terms = {(player, name): value for player, own in model.terms.items() for name, value in own.items()}
        self.seen.append(terms | {player: model.gradient_norm(player) for player in model.terms})


def replays_of(model, batches):
    """How many of the turns are not taken as they are alone."""
    return sum(max(0, batches // player.every - WARMUP_STEPS) for player in model.players())


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key].to(wanted[key]), wanted[key]) for key in wanted if torch.is_tensor(wanted[key]))


def weights(*overrides, batches=LONG, callbacks=()):
    return train(job_of(*overrides), batches, *callbacks).model.state_dict()


@pytest.mark.parametrize("name", CASES)
def test_replayed_turns_lead_to_the_same_weights_terms_and_gradients_bit_for_bit(name):
    overrides = [*CASES[name], "schedule=constant"]
    replaying, told, plainly_told = Replaying(), Told(), Told()
    plain = weights(*overrides, callbacks=[plainly_told])
    job = train(job_of(*overrides), LONG, replaying, told)
    assert replaying.recorder.replayed == replays_of(job.model, LONG) > 4
    assert_same(job.model.state_dict(), plain)
    for now, wanted in zip(told.seen, plainly_told.seen, strict=True):
        assert_same(now, wanted)


def test_replayed_turns_follow_the_schedule():
    """The optimizer reads its rate from the device, in float32."""
    overrides = [*SMALL["dcgan"], "schedule=linear_decay", "optimizer.lr=0.01"]
    replaying = Replaying()
    found, wanted = weights(*overrides, callbacks=[replaying]), weights(*overrides)
    constant = weights(*overrides, "schedule=constant")
    assert replaying.recorder.replayed > 0
    for name in (key for key in wanted if wanted[key].is_floating_point()):
        assert torch.allclose(found[name], wanted[name], atol=1e-4)
        assert not torch.allclose(found[name], constant[name], atol=1e-4) or wanted[name].ndim < 2


def test_the_optimizers_settings_are_as_before():
    job, settings = job_of(*SMALL["cyclegan"]), []
    train(job, LONG, Replaying())
    for optimizer in job.model.optimizers():
        settings += [(type(group["lr"]), group.get("capturable")) for group in optimizer.param_groups]
    assert set(settings) == {(float, False)}


@pytest.mark.parametrize("after", [1, 3, 4, 5, 6])
def test_a_training_that_goes_on_while_turns_are_recorded_ends_at_the_same_weights(after, tmp_path):
    overrides = [*SMALL["cyclegan"], "schedule=constant"]
    first = train(job_of(*overrides), 12, Stop(after), Replaying())
    first.model.trainer.save_checkpoint(tmp_path / "model.ckpt")
    second = job_of(*overrides)
    second.data.start_batch = after
    train(second, 12, Replaying(), ckpt_path=tmp_path / "model.ckpt")
    assert_same(second.model.state_dict(), weights(*overrides, batches=12))


def asks_the_device(model, batch):
    return float(batch["x"].mean()) * 0


def counts_in_python(model, batch):
    return model.batches_seen


def brings_a_number(model, batch):
    return torch.tensor(0.1)


def told(caplog):
    return [record for record in caplog.records if record.name.startswith("ganrun")]


NOT_REPLAYABLE = [
    (asks_the_device, "_local_scalar_dense"),
    (brings_a_number, "lift_fresh"),
    (counts_in_python, "its replay gives another result"),
]


@pytest.mark.parametrize(("addend", "reason"), NOT_REPLAYABLE)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_turn_that_cannot_be_replayed_is_told_of_once_and_taken_as_it_is(player, addend, reason, caplog):
    def job():
        made = job_of(*RING, "schedule=constant")
        loss = getattr(made.model, f"{player}_loss")

        def changed(batch):
            terms = loss(batch)
            terms = terms if isinstance(terms, dict) else {"loss": terms}
            return {**terms, "loss": terms["loss"] * (1 + addend(made.model, batch))}

        setattr(made.model, f"{player}_loss", changed)
        return made

    plain = train(job(), LONG).model.state_dict()
    assert not told(caplog)
    found = train(job(), LONG, Replaying()).model.state_dict()
    (record,) = told(caplog)
    assert f"The step of the {player} cannot be replayed" in record.message
    assert reason in record.message
    assert "\n" not in record.message
    assert_same(found, plain)


@pytest.mark.parametrize("batch", [2, 4, 5, 9])
def test_a_number_that_is_none_is_found_at_the_same_turn(batch, tmp_path):
    found = []
    for callbacks in ([], [Replaying()]):
        guard = bound(NanGuard(every=50), record=SimpleNamespace(folder=tmp_path))
        with pytest.raises(Failure) as failure:
            train(job_of(*RING), 20, SpoiltData(batch), *callbacks, guard)
        found.append(str(failure.value))
    assert found[0] == found[1]
    assert f"(batch {batch})" in found[0]
