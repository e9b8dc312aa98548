"""InfoGAN-CR against a loop of plain torch and torch.distributions, and the command."""

import copy
import json
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import CODED, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from helpers.recorder import Recorder
from helpers.run_pictures import pictures_of
from torch.distributions import Categorical, Normal
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.models.steps.graph_replay import GraphedSteps

EXACT = ["trainer.precision=64-true", "optimizer.fused=false", f"seed={SEED}"]
CODES = ["model.codes.c2=normal", "model.weight=0.7", "model.continuous_weight=0.3"]
PAIRS = ["model.contrastive_weight=1.7", "model.begin_kimg=0.008", "model.gap=1.5", "model.gap_kimg=0.008"]
GAPS = [None, None, 1.5, 0.75, 0.0, 0.0]  # of batches of 4 images
FLOAT64 = torch.float64


def sample_latents(n):
    c1 = (torch.rand(n, 1, dtype=FLOAT64) * 10).floor().long()[:, 0]
    c2, c3 = torch.randn(n, 1, dtype=FLOAT64), torch.rand(n, 1, dtype=FLOAT64) * 2 - 1
    return torch.cat([torch.eye(10, dtype=FLOAT64)[c1], c2, c3, torch.randn(n, 3, dtype=FLOAT64)], dim=1)


def sample_pairs(n, gap):
    """Latents of n pairs, example by example, and which code each shares."""
    common, normal = sample_latents(n), Normal(torch.zeros((), dtype=FLOAT64), 1)
    category = (torch.rand(n, 1, dtype=FLOAT64) * 10).floor().long()[:, 0]
    chances = torch.rand(n, 10)
    x2, x3 = torch.randn(n, 2, dtype=FLOAT64), torch.rand(n, 2, dtype=FLOAT64) * 2 - 1
    k = torch.randint(3, (n,))
    first, second = common.clone(), common.clone()
    for i in range(n):
        if k[i] != 0:
            allowed = [c for c in range(10) if gap == 0 or c != category[i]]
            best = max(allowed, key=lambda c, row=chances[i]: row[c].item())
            first[i, :10], second[i, :10] = torch.eye(10)[category[i]], torch.eye(10)[best]
        if k[i] != 1:
            mean, half = x2[i].mean(), (x2[i, 0] - x2[i, 1]) / 2
            tail = normal.cdf(-half.abs() * 2**0.5) * 2 * normal.cdf(torch.tensor(-gap / 2**0.5, dtype=FLOAT64))
            half = -normal.icdf(tail) / 2**0.5 * half.sign()
            first[i, 10], second[i, 10] = mean + half, mean - half
        if k[i] != 2:
            a, b = x3[i] * (2 - gap) / 2
            first[i, 11], second[i, 11] = (a + gap / 2, b - gap / 2) if a > b else (a - gap / 2, b + gap / 2)
    return first, second, k


def lin(batches, g, d, h):
    """InfoGAN, with alpha E log H(k | x, x') raised by G and H."""
    optimizers = {
        net: torch.optim.Adam(net.parameters(), lr, (0.5, 0.999)) for net, lr in ((g, 1e-3), (d, 2e-4), (h, 2e-4))
    }
    losses = []

    def step(net, loss):
        optimizers[net].zero_grad()
        loss.backward()
        optimizers[net].step()
        return loss.item()

    def judge(n):
        z = sample_latents(n)
        fake, q = d(g(z))
        i1 = Categorical(logits=q[:, :10]).log_prob(z[:, :10].argmax(1)).mean()
        i2, i3 = (Normal(q[:, i], 1).log_prob(z[:, i]).mean() for i in (10, 11))
        return fake, 0.7 * i1 + 0.3 * (i2 + i3)

    def contrast(n, gap):
        first, second, k = sample_pairs(n, gap)
        return -Categorical(logits=h(torch.cat([g(first), g(second)], dim=1))).log_prob(k).mean()

    for (_, batch), gap in zip(batches, GAPS, strict=True):
        n, real = len(batch["x"]), d(batch["x"])[0]
        fake, information = judge(n)
        of_d = step(d, -(logsigmoid(real) + logsigmoid(-fake)).mean() - information)
        of_h = None if gap is None else step(h, contrast(n, gap))
        fake, information = judge(n)
        of_pairs = 0 if gap is None else 1.7 * contrast(n, gap)
        losses.append(
            {
                "discriminator": of_d,
                "contrastive": of_h,
                "generator": step(g, of_pairs - logsigmoid(fake).mean() - information),
            }
        )
    return losses


class Losses(pl.Callback):
    """Stores the loss of each player's last step after each batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, model, *arguments):
        self.seen.append({player: terms["loss"].item() for player, terms in model.terms.items()})


def test_the_training_is_the_game_of_the_paper():
    job, seen = job_of(*CODED["infogan_cr"], *EXACT, *CODES, *PAIRS), Losses()
    start = copy.deepcopy(job.model).double()
    g, d, h = (copy.deepcopy(net) for net in (start.generator, start.discriminator, start.contrastive))
    train(job, len(GAPS), seen)
    losses = lin(batches_of(job, FLOAT64, len(GAPS)), g, d, h)
    assert_moved(job.model, start)
    for name, net in {"generator": g, "discriminator": d, "contrastive": h}.items():
        assert_same_weights(getattr(job.model, name), net, atol=NEAR)
    for found, expected in zip(seen.seen, losses, strict=True):
        assert found == pytest.approx({name: loss for name, loss in expected.items() if loss is not None}, abs=NEAR)


def test_before_the_pairs_it_is_infogan():
    settings = ["network.width=4", "model.z_dim=15", "data=digits", "batch_size=4"]
    late = train(job_of("model=infogan_cr", *settings), 3).model
    plain = train(job_of("model=infogan", *settings), 3).model
    assert "contrastive" not in late.terms
    for name in ("generator", "discriminator"):
        assert_same_weights(getattr(late, name), getattr(plain, name))


def test_the_generator_has_steps_of_two_forms_that_are_replayed():
    settings = [*CODED["infogan_cr"], "model.begin_kimg=0.04", "model.gap_kimg=0.1", "schedule=constant"]
    recorder = Recorder()

    class Replaying(pl.Callback):
        def on_train_start(self, trainer, model):
            model.graphed_steps = GraphedSteps(model, recorder)

    replayed, plain = train(job_of(*settings), 30, Replaying()).model, train(job_of(*settings), 30).model
    assert recorder.replayed == (30 - 3) + (20 - 3) + (10 - 3) + (20 - 3)
    assert_same_weights(replayed, plain)


def test_a_batch_in_parts_has_the_pairs_of_a_whole_one():
    job = job_of(*CODED["infogan_cr"], "model.begin_kimg=0", "accumulate=2")
    assert train(job, 2).model.terms["contrastive"]["named"].shape == (8,)


def test_a_single_code_is_refused():
    with pytest.raises(UserError, match="needs two codes or more"):
        job_of(*CODED["infogan_cr"], "~model.codes.c2", "~model.codes.c3")


@pytest.mark.parametrize("data", [["data=digits"], ["data=sprites", "data.count=64"]])
def test_the_command_trains_on_grey_and_colour_images(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["network.width=4", "model.z_dim=15", "batch_size=4", "kimg=0.04", "model.begin_kimg=0.02"]
    assert main(["train", "model=infogan_cr", *data, *small, "metrics.samples=50", "logger=none", "folder=run"]) == 0
    assert pictures_of("run") == {"samples", "path", "c1", "c2", "c3"}
    status = json.loads(Path("run/status.json").read_text())
    assert status["kimg"] == 0.04
    assert main(["sample", "run", "n=2", "code={c1: [3,4]}"]) == 0


def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *CODED["infogan_cr"], "model.begin_kimg=0.05", "model.gap_kimg=0.06")


@pytest.mark.parametrize(("kimg", "is_late"), [("0.01", True), ("0.02", False)])
def test_pairs_that_begin_after_the_end_cause_a_warning(kimg, is_late, tmp_path, caplog):
    settings = [*CODED["infogan_cr"], "metrics=none", "logger=none", "model.begin_kimg=0.012", f"kimg={kimg}"]
    assert main(["train", *settings, f"folder={tmp_path / 'run'}"]) == 0
    assert ("model.begin_kimg=0.012: the training ends before, at kimg=0.01" in caplog.text) == is_late
