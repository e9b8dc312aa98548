"""Steps that are captured and replayed: as CUDA graphs on a GPU, by a stand-in elsewhere."""

from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import CODED, PRESETS, RING, SMALL, SpoiltData, Stop, ganrun_records, job_of, train
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
    "several turns of the discriminator": [*RING, "model.d_steps=3"],
    "bfloat16": [*SMALL["dcgan"], "trainer.precision=bf16-mixed"],
    "sgd": [*RING, "optimizer=sgd"],
    "codes that are read": [*CODED["infogan"], "model.ramp_kimg=0.05"],
    "a gap that falls": [*CODED["infogan_cr"], "model.begin_kimg=0", "model.gap_kimg=0.1"],
    "features kept for another player": CODED["vaegan"],
    "class joined late": ["model=cgan", "network=cgan_hidden", "network.width=4", "data=digits", "batch_size=4"],
}
LONG = 40  # batches


class Replaying(pl.Callback):
    """Has the stand-in capture the model's steps."""

    def __init__(self):
        self.recorder = Recorder()

    def on_train_start(self, trainer, model):
        model.graphed_steps = GraphedSteps(model, self.recorder)


class SeenTerms(pl.Callback):
    """Stores what callbacks see after each batch: the terms of the last steps and the norms of the gradients."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        terms = {(player, name): value for player, own in model.terms.items() for name, value in own.items()}
        self.seen.append(terms | {player: model.gradient_norm(player) for player in model.terms})


def count_replays(model, batches):
    """Return the number of steps that are replayed, verified ones included."""
    steps = [sum(map(player.moves_at, range(1, batches + 1))) for player in model.players()]
    return sum(max(0, n - WARMUP_STEPS) for n in steps)


def assert_same(result, expected):
    assert result.keys() == expected.keys()
    assert all(
        torch.equal(result[key].to(expected[key]), expected[key]) for key in expected if torch.is_tensor(expected[key])
    )


def weights(*overrides, batches=LONG, callbacks=()):
    return train(job_of(*overrides), batches, *callbacks).model.state_dict()


@pytest.mark.parametrize("name", CASES)
def test_replayed_steps_give_the_same_weights_terms_and_gradients_bit_for_bit(name):
    overrides = [*CASES[name], "schedule=constant"]
    replaying, seen, plain_seen = Replaying(), SeenTerms(), SeenTerms()
    plain = weights(*overrides, callbacks=[plain_seen])
    job = train(job_of(*overrides), LONG, replaying, seen)
    assert replaying.recorder.replayed == count_replays(job.model, LONG) > 4
    assert_same(job.model.state_dict(), plain)
    for now, expected in zip(seen.seen, plain_seen.seen, strict=True):
        assert_same(now, expected)


def test_replayed_steps_follow_the_schedule():
    """The optimizer reads its learning rate from the device, in float32. Larger rates would amplify the rounding."""
    overrides = [*SMALL["dcgan"], "schedule=linear_decay", "optimizer.lr=0.001"]
    replaying = Replaying()
    result, expected = weights(*overrides, callbacks=[replaying]), weights(*overrides)
    constant = weights(*overrides, "schedule=constant")
    assert replaying.recorder.replayed > 0
    for name in (key for key in expected if expected[key].is_floating_point()):
        assert torch.allclose(result[name], expected[name], atol=1e-4)
        assert not torch.allclose(result[name], constant[name], atol=1e-4) or expected[name].ndim < 2


@pytest.mark.slow
def test_the_capture_does_not_change_the_optimizers_settings():
    job, settings = job_of(*SMALL["cyclegan"]), []
    train(job, LONG, Replaying())
    for optimizer in job.model.optimizers():
        settings += [(type(group["lr"]), group.get("capturable")) for group in optimizer.param_groups]
    assert set(settings) == {(float, False)}


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, 4, 5, 6])
def test_a_training_resumed_during_warm_up_and_capture_gives_the_same_weights(after, tmp_path):
    overrides = [*SMALL["cyclegan"], "schedule=constant"]
    first = train(job_of(*overrides), 12, Stop(after), Replaying())
    first.model.trainer.save_checkpoint(tmp_path / "model.ckpt")
    second = job_of(*overrides)
    second.data.start_batch = after
    train(second, 12, Replaying(), ckpt_path=tmp_path / "model.ckpt")
    assert_same(second.model.state_dict(), weights(*overrides, batches=12))


def waits_for_the_device(model, batch):
    return float(batch["x"].mean()) * 0


def counts_in_python(model, batch):
    return model.batches_seen


def copies_a_number(model, batch):
    return torch.tensor(0.1)


NOT_REPLAYABLE = [
    (waits_for_the_device, "_local_scalar_dense"),
    (copies_a_number, "lift_fresh"),
    (counts_in_python, "its replay gives another result"),
]


@pytest.mark.parametrize(("addend", "reason"), NOT_REPLAYABLE)
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_step_that_cannot_be_replayed_is_logged_once_and_taken_as_usual(player, addend, reason, caplog):
    def job():
        experiment = job_of(*RING, "schedule=constant")
        loss = getattr(experiment.model, f"{player}_loss")

        def changed(batch):
            terms = loss(batch)
            terms = terms if isinstance(terms, dict) else {"loss": terms}
            return {**terms, "loss": terms["loss"] * (1 + addend(experiment.model, batch))}

        setattr(experiment.model, f"{player}_loss", changed)
        return experiment

    plain = train(job(), LONG).model.state_dict()
    assert not ganrun_records(caplog)
    result = train(job(), LONG, Replaying()).model.state_dict()
    (record,) = ganrun_records(caplog)
    assert f"The step of the {player} cannot be replayed" in record.message
    assert reason in record.message
    assert "\n" not in record.message
    assert_same(result, plain)


@pytest.mark.parametrize("batch", [2, 4, 5, 9])
def test_a_nan_is_found_at_the_same_step(batch, tmp_path):
    result = []
    for callbacks in ([], [Replaying()]):
        guard = bound(NanGuard(every=50), record=SimpleNamespace(folder=tmp_path))
        with pytest.raises(Failure) as failure:
            train(job_of(*RING), 20, SpoiltData(batch), *callbacks, guard)
        result.append(str(failure.value))
    assert result[0] == result[1]
    assert f"(batch {batch})" in result[0]


@pytest.mark.parametrize("name", PRESETS)
def test_replayed_steps_of_a_preset_give_the_same_weights_bit_for_bit(name):
    overrides = [*PRESETS[name], "schedule=constant", "model.d_steps=2"]
    replaying = Replaying()
    job = train(job_of(*overrides), 20, replaying)
    assert replaying.recorder.replayed == count_replays(job.model, 20)
    assert_same(job.model.state_dict(), weights(*overrides, batches=20))
