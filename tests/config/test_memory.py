"""Networks that do not fit into memory are refused before their memory is used."""

import pytest
import torch
from helpers.model_training import job_of

from ganrun.config import free_memory, memory
from ganrun.errors import UserError

WIDE = ["model=gan", "network=mlp", "data=folder", "data.size=256", "data.root=.", "metrics=none"]


@pytest.fixture
def little_memory(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda cfg: 2**30)


@pytest.mark.usefixtures("little_memory")
def test_fully_connected_networks_of_large_images_are_refused_before_they_are_built(monkeypatch):
    initialized = []
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda layer: initialized.append(layer.weight.numel()))
    with pytest.raises(UserError) as error:
        job_of(*WIDE)
    assert "MiB of memory, and 1,024 MiB are free." in str(error.value)
    assert "such as network.generator.hidden=[64] network.discriminator.hidden=[64], or smaller" in str(error.value)
    assert 16 * sum(initialized) < 2**30


@pytest.mark.usefixtures("little_memory")
def test_the_average_counts_too(monkeypatch):
    job = job_of("model=dcgan", "data=digits", "ema.half_life_kimg=1")
    parameters = sum(w.numel() for w in job.model.parameters())
    generator = sum(w.numel() for w in job.model.generator.parameters())
    needed = 4 * (4 * parameters + generator)
    assert memory.training_bytes(job.cfg, job.model) == needed
    monkeypatch.setattr(memory, "free_bytes", lambda cfg: needed - 1)
    with pytest.raises(UserError, match=r"such as network\.width=32, or smaller"):
        job_of("model=dcgan", "data=digits", "ema.half_life_kimg=1")
    monkeypatch.setattr(memory, "free_bytes", lambda cfg: needed)
    job_of("model=dcgan", "data=digits", "ema.half_life_kimg=1")


@pytest.mark.parametrize(
    ("overrides", "copies"),
    [
        ([], 4),
        (["optimizer=rmsprop"], 3),
        (["optimizer=rmsprop", "optimizer.momentum=0.5"], 4),
        (["optimizer=sgd"], 3),
        (["optimizer=sgd", "optimizer.momentum=0"], 2),
    ],
)
def test_what_an_optimizer_remembers_is_counted(overrides, copies):
    job = job_of("model=gan", "data=ring", "network.generator.hidden=[8]", *overrides)
    job.model.configure_optimizers()
    assert memory.copies_of_weights(job.cfg) == copies


def test_free_memory_is_that_of_the_machine_or_of_the_container(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  24000 kB\nMemAvailable:   1000 kB\n")
    assert free_memory.machine_memory(tmp_path / "meminfo") == 1024 * 1000
    assert free_memory.machine_memory(tmp_path / "nowhere") is None
    for name, text in {
        "memory.max": "5000\n",
        "memory.current": "3000\n",
        "memory.stat": "inactive_file 500\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert free_memory.container_memory(tmp_path) == 2500
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory.container_memory(tmp_path) is None


def test_processes_on_the_cpu_share_its_memory(monkeypatch):
    monkeypatch.setattr(free_memory, "machine_memory", lambda: 2**30)
    monkeypatch.setattr(free_memory, "container_memory", lambda: None)
    job = job_of("model=gan", "data=ring", "network.generator.hidden=[8]", "trainer.devices=2")
    assert memory.free_bytes(job.cfg) == 2**29
