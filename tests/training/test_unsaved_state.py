"""Warnings of what a training changes and no checkpoint holds."""

import pytest
import torch
from helpers.model_training import SMALL, ganrun_records, job_of, train
from torch import nn

from ganrun.models.gan import GAN
from ganrun.training.unsaved_state import UnsavedState


def warnings_after(change, caplog, model=None):
    """Return what is logged at two checkpoints after a change of the model."""
    model = model or job_of(*SMALL["gan"]).model
    state = UnsavedState(model)
    state.warn_of_changes(model)
    assert not ganrun_records(caplog)
    change(model)
    state.warn_of_changes(model)
    change(model)
    state.warn_of_changes(model)
    return [record.getMessage() for record in ganrun_records(caplog)]


def count(model):
    model.level = getattr(model, "level", 0) + 1


def move(model):
    model.target = getattr(model, "target", torch.zeros(3)) + 1


def count_in_a_network(model):
    model.generator.calls = getattr(model.generator, "calls", 0.5) + 1


def prepared(change):
    model = job_of(*SMALL["gan"]).model
    change(model)
    return model


@pytest.mark.parametrize(
    ("change", "name"), [(count, "level"), (move, "target"), (count_in_a_network, "generator.calls")]
)
def test_a_number_or_tensor_outside_the_state_dict_that_changes_is_named_once(change, name, caplog):
    (message,) = warnings_after(change, caplog, prepared(change))
    assert f"The training changes model.{name}, which no checkpoint holds" in message


def test_a_tensor_that_is_changed_in_place_is_named(caplog):
    model = job_of(*SMALL["gan"]).model
    model.target = torch.zeros(3)
    (message,) = warnings_after(lambda model: model.target.add_(1), caplog, model)
    assert "model.target" in message


def test_buffers_constants_and_what_the_base_class_counts_are_not_named(caplog):
    model = job_of(*SMALL["gan"]).model
    model.register_buffer("level", torch.zeros(()))
    model.width = 3

    def change(model):
        model.level += 1
        model.images_seen += 1
        model.progress += 0.1

    assert not warnings_after(change, caplog, model)


class Saving(GAN):
    def on_save_checkpoint(self, checkpoint):
        super().on_save_checkpoint(checkpoint)
        checkpoint["level"] = self.level


class SavingNetwork(nn.Linear):
    def get_extra_state(self):
        return {"calls": self.calls}


def test_a_model_or_module_that_saves_its_own_state_is_trusted(caplog):
    model = prepared(count)
    model.__class__ = Saving
    model.extra = SavingNetwork(1, 1)

    def change(model):
        count(model)
        model.extra.calls = getattr(model.extra, "calls", 0) + 1

    assert not warnings_after(change, caplog, model)


@pytest.mark.parametrize("name", SMALL)
def test_the_models_of_ganrun_keep_all_their_state_in_checkpoints(name, caplog):
    job = job_of(*SMALL[name], "ema.half_life_kimg=0.01", "optimizer.lr=0.001")
    state = UnsavedState(job.model)
    train(job, 3)
    state.warn_of_changes(job.model)
    train(job, 6)
    state.warn_of_changes(job.model)
    assert not ganrun_records(caplog)
