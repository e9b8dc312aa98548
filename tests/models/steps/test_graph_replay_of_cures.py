"""Steps of the models against mode collapse, captured by the stand-in for CUDA graphs and replayed."""

import pytest
import pytorch_lightning as pl
from helpers.model_training import RECONSTRUCTING, RING, ganrun_records, job_of, train
from helpers.plain_loops import assert_same_weights
from helpers.recorder import Recorder

from ganrun.models.steps.graph_replay import WARMUP_STEPS, GraphedSteps

LAYER = "network.discriminator.minibatch"
ROUNDS = ["model.components=3", "model.round_kimg=0.24", "model.judge_share=0.4"]  # of 15 batches
CASES = {  # model and settings -> replayed steps of 40 batches
    "packs": (["model=pacgan"], 2 * (40 - WARMUP_STEPS)),
    "standard deviation": ([f"{LAYER}=standard_deviation"], 2 * (40 - WARMUP_STEPS)),
    "discrimination": ([f"{LAYER}=discrimination"], 2 * (40 - WARMUP_STEPS)),
    "reconstructor": (["model=veegan"], 2 * (40 - WARMUP_STEPS)),
    "look ahead": (["model=unrolled", "model.unrolled_steps=2"], 40 - WARMUP_STEPS),  # the discriminator's
    "rounds": (["model=adagan", *ROUNDS], 2 * (15 - WARMUP_STEPS)),  # of the first round: later turns are left out
}


class Replaying(pl.Callback):
    def __init__(self):
        self.recorder = Recorder()

    def on_train_start(self, trainer, model):
        model.graphed_steps = GraphedSteps(model, self.recorder)


@pytest.mark.parametrize("name", CASES)
def test_replayed_steps_give_the_same_weights_bit_for_bit(name):
    settings, replays = CASES[name]
    overrides = [*RING, *settings, "schedule=constant", "model.z_dim=5"]
    replaying = Replaying()
    found = train(job_of(*overrides), 40, replaying).model
    assert replaying.recorder.replayed == replays
    assert_same_weights(found, train(job_of(*overrides), 40).model)


def test_a_learning_rate_that_the_model_changes_reaches_the_replayed_steps():
    """BEGAN halves its learning rates when M stalls, here at each second batch, long after the first replays."""
    overrides = [*RECONSTRUCTING["began"], "schedule=constant"]
    replaying = Replaying()
    found, expected = train(job_of(*overrides), 40, replaying).model, train(job_of(*overrides), 40).model
    assert replaying.recorder.replayed == 2 * (40 - WARMUP_STEPS)
    assert found.optimizer_of("generator").param_groups[0]["lr"] < 0.5 * found.optimizer_of("generator").defaults["lr"]
    assert_same_weights(found, expected)


def test_an_optimizer_that_cannot_be_captured_costs_the_graphs_alone(caplog):
    class Uncapturable(Recorder):
        def capture(self, work):
            raise KeyError("capturable")  # as torch's Adafactor

    replaying = Replaying()
    replaying.recorder = Uncapturable()
    overrides = [*RING, "model=gan", "schedule=constant"]
    found = train(job_of(*overrides), 12, replaying).model
    (record,) = ganrun_records(caplog)
    assert "cannot be replayed as a CUDA graph: 'capturable'" in record.message
    assert_same_weights(found, train(job_of(*overrides), 12).model)
