"""What only a GPU can show: real CUDA graphs, batches that are fetched, and trainings that change the device."""

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import SMALL, Stop, job_of, train

from ganrun.training.callbacks.compilation import Compilation

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]
GPU = ["trainer.accelerator=gpu", "schedule=constant"]
# Reflected borders have no deterministic gradient on a GPU.
EXACT = ["trainer.precision=32-true", "trainer.deterministic=true", "trainer.benchmark=false"]
ROUNDED = ["trainer.precision=32-true"]
PAPERS = {name: [*overrides, *GPU, *(ROUNDED if name == "cyclegan" else EXACT)] for name, overrides in SMALL.items()}
BATCHES = 100


@pytest.fixture(autouse=True)
def workspace(monkeypatch):
    """What cuBLAS wants to be told to be deterministic."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    yield
    torch.use_deterministic_algorithms(False)


class Losses(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.seen.append(torch.stack([terms["loss"].float() for terms in model.terms.values()]).clone())


def told(caplog):
    return [record for record in caplog.records if record.name.startswith("ganrun")]


def graphs():
    return Compilation(graphs=True, networks=False)


def losses(*overrides, callbacks=()):
    """Of the players' turns, [batches, players], those of batches in which all have moved before."""
    kept = Losses()
    job = train(job_of(*overrides), BATCHES, *callbacks, kept)
    return job.model, torch.stack([seen for seen in kept.seen if len(seen) == len(job.model.players())]).cpu()


@pytest.mark.parametrize("name", PAPERS)
def test_replayed_graphs_lead_to_the_losses_of_plain_turns(name, caplog):
    model, found = losses(*PAPERS[name], callbacks=[graphs()])
    assert set(model.graphed_steps.captured) == {player.name for player in model.players()}
    assert not told(caplog)
    _, wanted = losses(*PAPERS[name])
    near = 1e-4 if name != "cyclegan" else 0.05 * wanted.abs().max().item()
    assert (found - wanted).abs().max() < near


@pytest.mark.parametrize("name", PAPERS)
def test_graphs_are_made_at_the_usual_precision_and_layout(name, caplog):
    model, found = losses(*PAPERS[name], "trainer.precision=bf16-mixed", "channels_last=true", callbacks=[graphs()])
    assert len(model.graphed_steps.captured) == 2
    assert not told(caplog)
    assert found.isfinite().all()


def test_a_recording_that_breaks_off_leaves_the_training_as_it_is_without(caplog):
    def asking():
        job = job_of(*PAPERS["dcgan"])
        loss = job.model.generator_loss
        job.model.generator_loss = lambda batch: loss(batch) * (1 + 0 * batch["x"].mean().item())
        return job

    broken, plain = train(asking(), 20, graphs()).model, train(asking(), 20).model
    (record,) = told(caplog)
    assert "The step of the generator cannot be replayed" in record.message
    assert same(broken, plain)


def same(first, second):
    found, wanted = first.state_dict(), second.state_dict()
    return all(torch.equal(found[key].cpu(), wanted[key].cpu()) for key in wanted if torch.is_tensor(wanted[key]))


def test_batches_gathered_in_the_machines_memory_are_those_gathered_on_the_gpu():
    first, second = (train(job_of(*PAPERS["dcgan"], f"data.device={place}"), 30).model for place in ("cpu", "cuda"))
    assert same(first, second)


@pytest.mark.parametrize("name", PAPERS)
def test_a_training_changes_the_device_at_a_checkpoint(name, tmp_path):
    first = train(job_of(*PAPERS[name]), 12, Stop(after=8), graphs())
    first.model.trainer.save_checkpoint(tmp_path / "gpu.ckpt")
    for accelerator in ("cpu", "gpu"):
        second = job_of(*PAPERS[name], f"trainer.accelerator={accelerator}")
        second.data.start_batch = 8
        train(second, 12, ckpt_path=tmp_path / "gpu.ckpt")
        assert second.model.batches_seen == 12
        assert all(w.isfinite().all() for w in second.model.parameters())


@pytest.mark.parametrize("after", [2, 5, 9])
def test_a_training_goes_on_exactly_with_graphs_where_all_is_deterministic(after, tmp_path):
    unbroken = train(job_of(*PAPERS["dcgan"]), 16, graphs()).model
    first = train(job_of(*PAPERS["dcgan"]), 16, Stop(after), graphs())
    first.model.trainer.save_checkpoint(tmp_path / "first.ckpt")
    second = job_of(*PAPERS["dcgan"])
    second.data.start_batch = after
    train(second, 16, graphs(), ckpt_path=tmp_path / "first.ckpt")
    assert same(second.model, unbroken)
