"""BEGAN and EBGAN against the equations of their papers."""

import copy

import pytest
import torch
from helpers.model_training import job_of, train
from helpers.plain_loops import SEED, assert_same_weights, batches_of

from ganrun.models.equilibrium import Equilibrium
from ganrun.models.losses import Margin
from ganrun.networks.autoencoder import Decoder, Encoder, Reconstruction

SMALL = ["data=digits", "network.width=4", "network.code=6", "batch_size=4", f"seed={SEED}", "optimizer.fused=false"]


def test_k_after_three_steps_by_hand():
    """Errors of real and fake (1, .2), (.8, .7), (.6, .1); gamma .5, lambda .1: k moves by .03, -.03 and .02."""
    objective, seen = Equilibrium(gamma=0.5, rate=0.1), []
    for real, fake in ((1.0, 0.2), (0.8, 0.7), (0.6, 0.1)):
        terms = objective.discriminator(-torch.tensor([real, real]), -torch.tensor([fake, fake]))
        seen.append([terms["k"].item(), terms["loss"].item(), terms["M"].item(), objective.k.item()])
    expected = [[0, 1.0, 1.3, 0.03], [0.03, 0.8 - 0.03 * 0.7, 1.1, 0], [0, 0.6, 0.8, 0.02]]
    assert [pytest.approx(row, abs=1e-6) for row in expected] == seen


def test_k_stays_from_0_to_1():
    objective = Equilibrium(gamma=0.5, rate=10.0)
    objective.discriminator(torch.tensor([-1.0]), torch.tensor([-0.1]))
    assert objective.k == 1
    objective.discriminator(torch.tensor([-0.1]), torch.tensor([-1.0]))
    assert objective.k == 0


def test_the_training_of_began_is_that_of_the_paper():
    job = job_of("model=began", *SMALL, "trainer.precision=64-true", "loss.rate=0.1")
    start = copy.deepcopy(job.model).double()
    g, d, k = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator), 0.0
    d_optimizer, g_optimizer = (torch.optim.Adam(net.parameters(), 1e-4, (0.5, 0.999)) for net in (d, g))

    def error(v):
        return (v - d.decoder(d.encoder(v))).abs().mean()

    for _, batch in batches_of(job, torch.float64, 6):
        x = batch["x"]
        d_optimizer.zero_grad()
        of_real, of_fake = error(x), error(g(torch.randn(4, 64, dtype=torch.float64)).detach())
        (of_real - k * of_fake).backward()
        d_optimizer.step()
        k = min(1.0, max(0.0, k + 0.1 * (0.5 * of_real - of_fake).item()))
        g_optimizer.zero_grad()
        error(g(torch.randn(4, 64, dtype=torch.float64))).backward()
        g_optimizer.step()
    train(job, 6)
    assert 0 < k < 1
    assert job.model.objective.k.item() == pytest.approx(k, abs=1e-6)
    assert_same_weights(job.model.generator, g, atol=1e-7)  # k is float32
    assert_same_weights(job.model.discriminator, d, atol=1e-7)


def test_the_learning_rates_are_halved_where_m_does_not_fall():
    job = job_of("model=began", *SMALL, "model.stall_kimg=0.008")  # two batches
    rates = []

    def spy(m):
        job.model.totals[:2] = torch.tensor([m, 1.0])
        job.model.halve_rates_if_stalled()
        rates.append(
            [
                group["lr"]
                for name in ("discriminator", "generator")
                for group in job.model.optimizer_of(name).param_groups
            ]
        )

    train(job, 1)
    for m in (3.0, 2.0, 2.5, 1.0, 1.0):
        spy(m)
    assert rates == [[1e-4 * f] * 2 for f in (1, 1, 0.5, 0.5, 0.25)]
    assert job.model.totals.tolist() == [0, 0, 1]


def test_began_looks_at_m_after_each_period():
    job = job_of("model=began", *SMALL, "model.stall_kimg=0.008")
    looks = []
    job.model.halve_rates_if_stalled = lambda: looks.append(job.model.images_seen)
    train(job, 5)
    assert looks == [8, 16]


@pytest.mark.parametrize("power", [1, 2])
def test_a_score_is_minus_the_mean_difference_to_the_reconstruction(power):
    torch.manual_seed(0)
    d = Reconstruction(Encoder([1, 28, 28], 6, 4), Decoder([1, 28, 28], 6, 4), power)
    x = torch.randn(3, 1, 28, 28)
    images = d.decoder(d.encoder(x))
    assert images.shape == x.shape
    for i in range(3):
        differences = [
            abs(a - b) ** power for a, b in zip(x[i].flatten().tolist(), images[i].flatten().tolist(), strict=True)
        ]
        assert d(x)[i].item() == pytest.approx(-sum(differences) / len(differences), rel=1e-4)


@pytest.mark.parametrize("shape", [[3, 32, 48], [1, 28, 28]])
def test_decoders_and_encoders_take_dcgans_sizes(shape):
    assert Decoder(shape, 5, 4)(torch.randn(2, 5)).shape == (2, *shape)
    assert Encoder(shape, 7, 4)(torch.randn(2, *shape)).shape == (2, 7)


def test_the_margin_frees_fakes_of_a_high_energy():
    objective = Margin(m=0.5)
    real, fake = -torch.tensor([0.1, 0.3]), -torch.tensor([0.2, 0.9])
    assert objective.discriminator(real, fake).item() == pytest.approx(0.2 + (0.3 + 0) / 2)
    assert objective.generator(fake).item() == pytest.approx(0.55)
