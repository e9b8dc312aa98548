"""What a checkpoint holds of a model."""

import pytest
import torch
from helpers.model_training import SMALL, Stop, job_of, train

CASES = {name: [*overrides, "ema.half_life_kimg=0.01", "optimizer.lr=0.01"] for name, overrides in SMALL.items()}


def saved(job, path):
    job.model.trainer.save_checkpoint(path)
    return torch.load(path, weights_only=True)


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_holds_the_networks_and_their_averages_and_is_read_without_running_code(name, tmp_path):
    job = train(job_of(*CASES[name], "seed=1"), 6)
    content = saved(job, tmp_path / "model.ckpt")
    other = job_of(*CASES[name], "seed=2").model
    other.configure_model()
    other.load_state_dict(content["state_dict"])
    wanted = {key: value for key, value in job.model.state_dict().items() if torch.is_tensor(value)}
    found = {key: value for key, value in other.state_dict().items() if torch.is_tensor(value)}
    assert list(found) == list(wanted)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
    for averaged in job.model.averages:
        assert any(key.startswith(f"averaged.{averaged}.") for key in wanted)


def test_the_pictures_in_the_image_pools_come_back(tmp_path):
    job = train(job_of(*CASES["cyclegan"]), 6)
    content = saved(job, tmp_path / "model.ckpt")
    other = job_of(*CASES["cyclegan"]).model
    other.configure_model()
    other.load_state_dict(content["state_dict"])
    for side in "ab":
        assert int(other.pools[side].filled) == 3
        assert torch.equal(other.pools[side].kept, job.model.pools[side].kept)


@pytest.mark.parametrize("name", CASES)
def test_a_training_resumed_from_a_checkpoint_ends_at_the_weights_of_an_unbroken_one(name, tmp_path):
    overrides = [*CASES[name], "schedule=linear_decay"]
    unbroken = train(job_of(*overrides), 8).model
    first = train(job_of(*overrides), 8, Stop(after=5))
    assert first.model.batches_seen == 5
    first.model.trainer.save_checkpoint(tmp_path / "model.ckpt")
    second = job_of(*overrides)
    second.data.start_batch = 5
    train(second, 8, ckpt_path=tmp_path / "model.ckpt")
    assert second.model.batches_seen == 8
    assert second.model.images_seen == unbroken.images_seen
    found, wanted = second.model.state_dict(), unbroken.state_dict()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted if torch.is_tensor(wanted[key]))
