"""The trial before training: losses and gradients on a batch of zeros."""

from functools import partial

import pytest
import torch
from helpers.model_training import job_of
from torch import nn

from ganrun.config.build import use_channels_last
from ganrun.config.trial import LossError, checked_loss, example_batch, find_misfit, loss_name
from ganrun.models.player import Player


@pytest.fixture
def job():
    return job_of("model=gan", "data=ring")


def test_a_trial_leaves_the_model_as_it_is(job):
    before = {name: w.clone() for name, w in job.model.named_parameters()}
    assert find_misfit(job.model, job.data) is None
    for name, w in job.model.named_parameters():
        assert torch.equal(w, before[name])
        assert w.requires_grad
        assert w.grad is None


def test_the_batch_has_the_keys_of_the_data_and_the_examples_that_the_model_needs(job):
    job.model.trial_size = 6
    assert {key: [*x.shape] for key, x in example_batch(job.model, job.data, "cpu").items()} == {"x": [6, 2], "y": [6]}
    job.model.needs = ("x", "index")
    assert example_batch(job.model, job.data, "cpu")["index"].dtype == torch.int64


@pytest.mark.parametrize("loss", [torch.zeros(2, requires_grad=True), {"loss": torch.zeros(2)}, {"total": 1.0}, 0.5])
def test_what_is_no_loss_is_refused(loss):
    with pytest.raises(LossError, match=r"The loss of the player critic, <lambda> in .*test_trial\.py:"):
        checked_loss(Player("critic", [], lambda batch: loss), loss)


def test_a_network_that_does_not_fit_is_no_fault_of_the_users_code(job):
    job.model.discriminator = nn.Linear(3, 1)
    assert not find_misfit(job.model, job.data).is_own


def test_losses_that_are_partials_or_objects_have_names():
    assert loss_name(partial(partial(checked_loss))) == "checked_loss"
    assert loss_name(nn.MSELoss()) == "MSELoss"


def test_channels_last_leaves_weights_of_volumes_as_they_are():
    network = use_channels_last(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3)))
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert network[1].weight.is_contiguous()
