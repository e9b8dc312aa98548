"""What needs a GPU: real CUDA graphs, batches copied from main memory, and trainings that change the device."""

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import (
    CONDITIONED,
    PRESETS,
    PUZZLING,
    RECONSTRUCTING,
    RING,
    SMALL,
    Stop,
    ganrun_records,
    job_of,
    train,
)

from ganrun.training.callbacks.compilation import Compilation

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]
GPU = ["trainer.accelerator=gpu", "schedule=constant"]
# Reflected borders have no deterministic gradient on a GPU.
EXACT = ["trainer.precision=32-true", "trainer.deterministic=true", "trainer.benchmark=false"]
ROUNDED = ["trainer.precision=32-true"]
PAPERS = {name: [*overrides, *GPU, *(ROUNDED if name == "cyclegan" else EXACT)] for name, overrides in SMALL.items()}
MORE = {**PRESETS, **CONDITIONED, **PUZZLING, **RECONSTRUCTING}
MORE |= {name: [*RING, f"model={name}"] for name in ("pacgan", "veegan")}
ALL = PAPERS | {name: [*overrides, *GPU, *EXACT] for name, overrides in MORE.items()}
BATCHES = 100


@pytest.fixture(autouse=True)
def workspace(monkeypatch):
    """cuBLAS needs this setting to be deterministic."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    yield
    torch.use_deterministic_algorithms(False)


class Losses(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.seen.append(torch.stack([terms["loss"].float() for terms in model.terms.values()]).clone())


def graphs():
    compilation = Compilation()
    compilation.graphs = True
    return compilation


def players_captured(model):
    return {player for player, _ in model.graphed_steps.captured}


def train_losses(*overrides, callbacks=()):
    """Return the model and the losses, [batches, players], of batches by which all players have taken a step."""
    seen = Losses()
    job = train(job_of(*overrides), BATCHES, *callbacks, seen)
    return job.model, torch.stack([losses for losses in seen.seen if len(losses) == len(job.model.players())]).cpu()


@pytest.mark.parametrize("name", ALL)
def test_replayed_graphs_give_the_losses_of_ordinary_steps(name, caplog):
    model, result = train_losses(*ALL[name], callbacks=[graphs()])
    assert players_captured(model) == {player.name for player in model.players()}
    assert not ganrun_records(caplog)
    _, expected = train_losses(*ALL[name])
    near = 1e-4 if name != "cyclegan" else 0.05 * expected.abs().max().item()
    assert (result - expected).abs().max() < near


@pytest.mark.parametrize("name", [name for name in ALL if "data=ring" not in ALL[name]])
def test_graphs_work_with_the_default_precision_and_layout(name, caplog):
    model, result = train_losses(*ALL[name], "trainer.precision=bf16-mixed", "channels_last=true", callbacks=[graphs()])
    assert players_captured(model) == {player.name for player in model.players()}
    assert not ganrun_records(caplog)
    assert result.isfinite().all()


def test_a_failed_capture_does_not_change_the_training(caplog):
    def build():
        job = job_of(*PAPERS["dcgan"])
        loss = job.model.generator_loss
        job.model.generator_loss = lambda batch: loss(batch) * (1 + 0 * batch["x"].mean().item())
        return job

    broken, plain = train(build(), 20, graphs()).model, train(build(), 20).model
    (record,) = ganrun_records(caplog)
    assert "The step of the generator cannot be replayed" in record.message
    assert same(broken, plain)


def same(first, second):
    result, expected = first.state_dict(), second.state_dict()
    return all(
        torch.equal(result[key].cpu(), expected[key].cpu()) for key in expected if torch.is_tensor(expected[key])
    )


def test_batches_gathered_in_main_memory_equal_those_gathered_on_the_gpu():
    first, second = (train(job_of(*PAPERS["dcgan"], f"data.device={device}"), 30).model for device in ("cpu", "cuda"))
    assert same(first, second)


@pytest.mark.parametrize("name", PAPERS)
def test_a_training_continues_on_another_device(name, tmp_path):
    first = train(job_of(*PAPERS[name]), 12, Stop(after=8), graphs())
    first.model.trainer.save_checkpoint(tmp_path / "gpu.ckpt")
    for accelerator in ("cpu", "gpu"):
        second = job_of(*PAPERS[name], f"trainer.accelerator={accelerator}")
        second.data.start_batch = 8
        train(second, 12, ckpt_path=tmp_path / "gpu.ckpt")
        assert second.model.batches_seen == 12
        assert all(w.isfinite().all() for w in second.model.parameters())


@pytest.mark.parametrize("after", [2, 5, 9])
def test_a_deterministic_training_with_graphs_resumes_exactly(after, tmp_path):
    unbroken = train(job_of(*PAPERS["dcgan"]), 16, graphs()).model
    first = train(job_of(*PAPERS["dcgan"]), 16, Stop(after), graphs())
    first.model.trainer.save_checkpoint(tmp_path / "first.ckpt")
    second = job_of(*PAPERS["dcgan"])
    second.data.start_batch = after
    train(second, 16, graphs(), ckpt_path=tmp_path / "first.ckpt")
    assert same(second.model, unbroken)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_each_optimizer_is_captured_or_trains_without_graphs(name, caplog):
    model, result = train_losses(*ALL["gan"], f"optimizer={name}", callbacks=[graphs()])
    _, expected = train_losses(*ALL["gan"], f"optimizer={name}")
    assert bool(model.graphed_steps.captured) != bool(ganrun_records(caplog))
    assert (result - expected).abs().max() < 1e-4
