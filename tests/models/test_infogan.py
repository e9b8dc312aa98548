"""InfoGAN against a loop of plain torch and torch.distributions, its codes, and the command."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import CODED, SMALL_DIGITS, job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from helpers.run_pictures import pictures_of
from torch.distributions import Categorical, Normal, OneHotCategorical, Uniform
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main
from ganrun.errors import UserError
from ganrun.networks.codes import LatentCodes

EXACT = ["trainer.precision=64-true", "optimizer.fused=false", f"seed={SEED}"]
FLOAT64 = torch.float64
CODES = ["model.codes.c2=normal", "model.weight=0.7", "model.continuous_weight=0.3", "model.ramp_kimg=0.01"]
THREE = {"c1": 3, "c2": "uniform", "c3": "normal"}


def chen(batches, g, d):
    """min over G, Q of max over D of V(D, G) - lambda L_I(G, Q); Q is a head of D, whose player helps to raise L_I."""
    g_optimizer = torch.optim.Adam(g.parameters(), 1e-3, (0.5, 0.999))
    d_optimizer = torch.optim.Adam(d.parameters(), 2e-4, (0.5, 0.999))
    bounds, seen, zero, one = [], 0, torch.zeros((), dtype=FLOAT64), torch.ones((), dtype=FLOAT64)

    def fakes(n):
        c1 = (torch.rand(n, 1, dtype=FLOAT64) * 10).floor().long()[:, 0]
        c2, c3 = torch.randn(n, 1, dtype=FLOAT64), torch.rand(n, 1, dtype=FLOAT64) * 2 - 1
        noise = torch.randn(n, 3, dtype=FLOAT64)
        fake, q = d(g(torch.cat([torch.eye(10, dtype=FLOAT64)[c1], c2, c3, noise], dim=1)))
        share = min(seen / 10, 1)
        i1 = Categorical(logits=q[:, :10]).log_prob(c1).mean() + math.log(10)
        i2 = Normal(q[:, 10], 1).log_prob(c2[:, 0]).mean() + Normal(zero, one).entropy()
        i3 = Normal(q[:, 11], 1).log_prob(c3[:, 0]).mean() + Uniform(-one, one).entropy()
        return fake, (i1, i2, i3), share * (0.7 * i1 + 0.3 * (i2 + i3))

    for _, batch in batches:
        seen += len(batch["x"])
        real = d(batch["x"])[0]
        fake, _, information = fakes(len(batch["x"]))
        d_optimizer.zero_grad()
        (-(logsigmoid(real) + logsigmoid(-fake)).mean() - information).backward()
        d_optimizer.step()
        fake, parts, information = fakes(len(batch["x"]))
        bounds.append(parts)
        g_optimizer.zero_grad()
        (-logsigmoid(fake).mean() - information).backward()
        g_optimizer.step()
    return bounds


def test_the_training_is_the_game_of_the_paper():
    job = job_of(*CODED["infogan"], *EXACT, *CODES)
    start = copy.deepcopy(job.model).double()
    g, d = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    train(job, 4)  # the ramp ends within the third batch
    bounds = chen(batches_of(job, FLOAT64, 4), g, d)
    assert_moved(job.model, start)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    assert_same_weights(job.model.discriminator, d, atol=NEAR)
    found = [job.model.terms["generator"][f"information_{name}"].item() for name in ("c1", "c2", "c3")]
    assert found == pytest.approx([bound.item() for bound in bounds[-1]], abs=NEAR)
    assert job.model.seen == 16


def test_a_training_in_bfloat16_counts_its_images():
    job = job_of(*CODED["infogan"], "trainer.precision=bf16-true")
    job.model.seen.fill_(10_000)
    assert train(job, 1).model.seen == 10_004


def test_the_bound_is_the_entropy_for_a_perfect_reader_and_nothing_for_one_that_knows_the_distribution_alone():
    codes = LatentCodes({"c1": 4}, z_dim=6)
    z = codes.draw(1000, torch.zeros(1))
    (perfect,), (prior,) = (codes.negative_logs(q, z).values() for q in (1000 * z, torch.zeros_like(z)))
    entropy = OneHotCategorical(torch.full((4,), 0.25)).entropy()
    assert codes["c1"].entropy == pytest.approx(entropy.item())
    assert codes["c1"].entropy - perfect == pytest.approx(entropy.item())
    assert codes["c1"].entropy - prior == pytest.approx(0, abs=1e-6)


def test_codes_have_their_distributions_and_lead_the_noise():
    model = job_of(*CODED["infogan"], "model.codes={c1:10,c2:uniform,c3:normal}").model
    z = model.noise(20_000, torch.Generator().manual_seed(0))
    c1, c2, c3 = model.codes.split(z).values()
    assert torch.equal(c1.sum(1), torch.ones(20_000))
    assert torch.equal(c1 * c1, c1)
    assert c1.mean(0).tolist() == pytest.approx([0.1] * 10, abs=0.01)
    assert c2.abs().max() <= 1
    assert c2.var().item() == pytest.approx(1 / 3, abs=0.02)
    assert c3.abs().max() > 3
    assert c3.var().item() == pytest.approx(1, abs=0.05)
    assert z.shape == (20_000, 15)
    assert torch.equal(z[:5], torch.cat([c1, c2, c3, z[:, 12:]], dim=1)[:5])


@pytest.mark.parametrize(("name", "columns"), [("c1", [0, 1, 2]), ("c2", [3]), ("c3", [4])])
def test_one_code_is_varied_and_nothing_else(name, columns):
    codes = LatentCodes(THREE, z_dim=7)
    z, values = torch.randn(2, 7), codes[name].shown_values()
    rows = codes.vary(name, values, z).unflatten(0, (2, len(values)))
    others = [i for i in range(7) if i not in columns]
    assert torch.equal(rows[:, :, columns], values.expand(2, -1, -1))
    assert torch.equal(rows[:, :, others], z[:, None, others].expand(-1, len(values), -1))


@pytest.mark.parametrize(
    ("settings", "z_dim", "message"),
    [
        (THREE, 5, "model.z_dim must be above 5, the length of all codes, got 5"),
        ({}, 5, "model.codes is empty"),
        ({"c1": 1}, 9, "model.codes.c1 must be a number of values of at least 2, uniform or normal, got 1"),
        ({"c1": "gamma"}, 9, "uniform or normal, got gamma"),
    ],
)
def test_codes_that_cannot_be_are_refused(settings, z_dim, message):
    with pytest.raises(UserError, match=message):
        LatentCodes(settings, z_dim)


def test_the_command_trains_scores_and_shows_each_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *CODED["infogan"], "kimg=0.04", "metrics.samples=50", "logger=none", "folder=run"]) == 0
    scores = json.loads(Path("run/status.json").read_text())["last"]
    assert {"val/fd_lenet", "val/code_recovery", "val/code_error", "val/code_agreement"} <= scores.keys()
    assert pictures_of("run") == {"samples", "path", "c1", "c2", "c3"}
    assert main(["sample", "run", "n=4"]) == 0
    assert main(["eval", "run", "samples=40"]) == 0
    assert "val/code_agreement" in capsys.readouterr().out


def test_codes_of_its_own_names_and_no_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["model=infogan", "network.width=4", "kimg=0.04", "metrics.samples=50", "logger=none", "folder=run"]
    assert main(["train", *small, *SMALL_DIGITS, "~model.codes.c2", "~model.codes.c3", "+model.codes.shade=5"]) == 0
    scores = json.loads(Path("run/status.json").read_text())["last"]
    assert "val/code_recovery" in scores
    assert "val/code_error" not in scores
    assert pictures_of("run") == {"samples", "path", "c1", "shade"}


def test_a_killed_training_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *CODED["infogan"], "model.ramp_kimg=1")
