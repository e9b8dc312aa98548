"""BigBiGAN against a loop of plain torch and sums by hand, and by the command."""

import copy
import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import CODED, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from helpers.run_pictures import pictures_of
from torch import nn

from ganrun.cli.main import main
from ganrun.models.bigbigan import SCORES

EXACT = ["trainer.precision=64-true", "optimizer.fused=false", f"seed={SEED}"]
RATES = ["optimizer.lr=3e-4", "optimizer.betas=[0.1,0.99]", "optimizers.generator.lr=7e-4"]
FLOAT64 = torch.float64
N = 6


class Record(pl.Callback):
    """The terms of each player's loss, batch by batch."""

    def __init__(self):
        self.terms = []

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.terms.append({player: dict(terms) for player, terms in model.terms.items()})


def donahue(batches, g, e, d, d_steps):
    """l_D = sum of h(y s) with h(t) = max(0, 1 - t), l_EG = sum of y s, over s_x, s_z, s_xz and y = +1, -1."""
    d_optimizer = torch.optim.Adam(d.parameters(), 3e-4, (0.1, 0.99))
    eg_optimizer = torch.optim.Adam([*e.parameters(), *g.parameters()], 7e-4, (0.1, 0.99))

    def signed_scores(x):
        """y times the scores of (x, E(x)) and of (G(z), z): [B, 3] each."""
        z = torch.randn(len(x), 5, dtype=FLOAT64)
        made = g(z)
        mean, log_variance = e(x)
        code = mean + log_variance.exp().sqrt() * torch.randn(len(x), 5, dtype=FLOAT64)
        return d(code, x), -d(z, made)

    for k, batch in batches:
        d_loss = sum((1 - scores).clamp(min=0).sum(1).mean() for scores in signed_scores(batch["x"]))
        d_optimizer.zero_grad()
        d_loss.backward()
        d_optimizer.step()
        losses = {"discriminator": d_loss.item()}
        if (k + 1) % d_steps == 0:
            eg_loss = sum(scores.sum(1).mean() for scores in signed_scores(batch["x"]))
            eg_optimizer.zero_grad()
            eg_loss.backward()
            eg_optimizer.step()
            losses["generator"] = eg_loss.item()
        yield losses


@pytest.mark.parametrize(("d_steps", "regularizer"), [(1, "[]"), (2, "[spectral_norm]")])
def test_losses_and_weights_are_those_of_the_paper(d_steps, regularizer):
    settings = [*EXACT, *RATES, f"model.d_steps={d_steps}", f"regularizer={regularizer}"]
    job, record = job_of(*CODED["bigbigan"], *settings), Record()
    start = copy.deepcopy(job.model).double()
    nets = [copy.deepcopy(net) for net in (start.generator, start.encoder, start.discriminator)]
    train(job, 4, record)
    expected = [*donahue(batches_of(job, FLOAT64, 4), *nets, d_steps)]
    for found, losses in zip(record.terms, expected, strict=True):
        for player, loss in losses.items():
            assert found[player]["loss"].item() == pytest.approx(loss, rel=0, abs=NEAR)
    assert_moved(job.model, start)
    for found, network in zip((job.model.generator, job.model.encoder, job.model.discriminator), nets, strict=True):
        assert_same_weights(found, network, atol=NEAR)


class Given(nn.Module):
    """Returns scores from a list, whatever it is shown."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = [torch.tensor(each) for each in scores]

    def forward(self, z, x):
        return self.scores.pop(0)


def test_the_losses_are_sums_over_the_three_scores():
    model, batch = job_of(*CODED["bigbigan"]).model, {"x": torch.zeros(2, 1, 28, 28)}
    real, fake = [[3.0, 0.5, -1.0], [1.0, -2.0, 0.0]], [[-3.0, 0.5, 2.0], [0.0, -1.0, -0.5]]
    model.discriminator = Given(real, fake, real, fake)
    terms = model.discriminator_loss(batch)
    by_hand = {
        "x": (0 + 0) / 2 + (0 + 1) / 2,  # h of 3 and 1, then of 3 and 0
        "z": (0.5 + 3) / 2 + (1.5 + 0) / 2,
        "xz": (2 + 1) / 2 + (3 + 0.5) / 2,
    }
    assert {name: terms[name].item() for name in SCORES} == by_hand
    assert terms["loss"].item() == sum(by_hand.values())
    assert (terms["real"].tolist(), terms["fake"].tolist()) == ([2.5, -1.0], [-0.5, -1.5])
    assert model.generator_loss(batch).item() == (2.5 - 1.0) / 2 - (-0.5 - 1.5) / 2


@pytest.mark.parametrize(("column", "movers"), [(0, {"generator"}), (1, {"encoder"}), (2, {"generator", "encoder"})])
def test_the_score_of_x_teaches_the_generator_that_of_z_the_encoder_and_that_of_both_both(column, movers):
    model = job_of(*CODED["bigbigan"]).model
    real, fake = model.pair_scores({"x": torch.rand(N, 1, 28, 28) * 2 - 1})
    (real - fake)[:, column].mean().backward()
    gradients = {name: [w.grad for w in getattr(model, name).parameters()] for name in ("generator", "encoder")}
    moved = {name for name, each in gradients.items() if any(g is not None and g.any() for g in each)}
    assert moved == movers


def test_spectral_norm_is_for_all_layers_of_the_discriminator_alone():
    model = job_of(*CODED["bigbigan"], "regularizer=[spectral_norm]").model
    normalized = {name.rsplit(".", 1)[0] for name, _ in model.named_buffers() if "parametrizations" in name}
    layers = [layer for layer in model.discriminator.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    assert len(normalized) == len(layers)
    assert all(name.startswith("discriminator.") for name in normalized)


@pytest.mark.parametrize("data", ["digits", "sprites"])
def test_the_command_trains_scores_and_shows_reconstructions(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = ["metrics.samples=50"] if data == "digits" else ["data.count=200", "metrics=none"]
    settings = [*CODED["bigbigan"], f"data={data}", *own, "kimg=0.008", "logger=none"]
    assert main(["train", *settings, "folder=run"]) == 0
    scores = json.loads(Path("run/status.json").read_text())["last"]
    expected = {"val/fd_lenet", "val/reconstruction_l1", "val/kept_lenet"} if data == "digits" else set()
    assert expected <= scores.keys()
    assert pictures_of("run") == {"samples", "reconstructions", "path", "directions"}
    assert main(["sample", "run", "n=4"]) == 0


OTHER = [["loss=logistic"], ["loss=wasserstein", "regularizer=gradient_penalty"], ["loss=relativistic"]]


@pytest.mark.parametrize("other", OTHER, ids=" ".join)
def test_the_discriminator_may_have_other_losses(other, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *CODED["bigbigan"], *other, "kimg=0.008", "metrics=none", "logger=none", "folder=run"]) == 0


def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *CODED["bigbigan"])
