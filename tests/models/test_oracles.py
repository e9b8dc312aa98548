"""Each model's training against a loop written from its paper with plain torch, from the same weights and noise.

Where the loop's arithmetic is the model's, the weights are the same bit for bit. The others run in float64: binary
cross entropy is rounded otherwise than the softplus of the models, and a sum of losses in another order adds up
its gradients in another order.
"""

import copy

import pytest
import torch
from helpers.model_training import job_of, train
from helpers.plain_loops import NEAR, SEED, assert_moved, assert_same_weights, batches_of
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss

BATCHES = 50
DIGITS = ["data=digits", f"seed={SEED}", "batch_size=8"]


def logits_are(scores, truth):
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, truth))


# Goodfellow et al. 2014, Algorithm 1, with Adam and the loss of the end of section 3


def non_saturating(scores):
    return logits_are(scores, 1.0)


def saturating(scores):
    return -logits_are(scores, 0.0)


def gaussian(n, dim):
    return torch.randn(n, dim, dtype=torch.float64)


def uniform(n, dim):
    return 2 * torch.rand(n, dim, dtype=torch.float64) - 1


def goodfellow(batches, g, d, prior, z_dim, k=1, lr=2e-4, beta1=0.5, generator_loss=non_saturating, labels=False):
    g_optimizer = torch.optim.Adam(g.parameters(), lr, (beta1, 0.999))
    d_optimizer = torch.optim.Adam(d.parameters(), lr, (beta1, 0.999))
    for number, batch in batches:
        x, y = batch["x"], (batch["y"],) if labels else ()
        d_optimizer.zero_grad()
        on_real = logits_are(d(x, *y), 1.0)
        on_fake = logits_are(d(g(prior(len(x), z_dim), *y).detach(), *y), 0.0)
        (on_real + on_fake).backward()
        d_optimizer.step()
        if number % k == k - 1:
            g_optimizer.zero_grad()
            generator_loss(d(g(prior(len(x), z_dim), *y), *y)).backward()
            g_optimizer.step()


def assert_goodfellow(overrides, count=BATCHES, **algorithm):
    job = job_of(*overrides, *DIGITS, "trainer.precision=64-true", "optimizer.fused=false")
    start = copy.deepcopy(job.model).double()
    g, d = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    train(job, count)
    goodfellow(batches_of(job, torch.float64, count), g, d, **algorithm)
    assert_moved(job.model, start)
    assert_same_weights(job.model.generator, g, atol=NEAR)
    assert_same_weights(job.model.discriminator, d, atol=NEAR)


SMALL_GAN = ["model=gan", "network.generator.hidden=[24]", "network.discriminator.hidden=[16]", "model.z_dim=10"]


def test_the_training_of_gan_with_two_steps_of_the_discriminator_is_algorithm_1():
    assert_goodfellow([*SMALL_GAN, "model.d_steps=2"], prior=gaussian, z_dim=10, k=2)


def test_the_training_of_gan_with_the_minimax_loss_is_algorithm_1():
    overrides = [*SMALL_GAN, "loss=minimax"]
    assert_goodfellow(overrides, prior=gaussian, z_dim=10, generator_loss=saturating)


def test_the_training_of_dcgan_is_algorithm_1_with_uniform_noise():
    assert_goodfellow(["model=dcgan", "network.width=4"], prior=uniform, z_dim=100)


@pytest.mark.parametrize("network", ["cgan", "cgan_hidden"])
def test_the_training_of_cgan_is_algorithm_1_with_the_class_as_input_of_both_networks(network):
    overrides = ["model=cgan", f"network={network}", "network.width=4"]
    assert_goodfellow(overrides, prior=gaussian, z_dim=64, lr=4e-4, labels=True)


def test_the_training_of_the_fully_connected_cgan_is_algorithm_1_for_a_few_batches_of_its_large_layers():
    overrides = ["model=cgan", "network=cgan_mlp"]
    assert_goodfellow(overrides, count=6, prior=gaussian, z_dim=64, lr=4e-4, labels=True)


# Arjovsky et al. 2017, Algorithm 1


def arjovsky(job, g, f, z_dim=100, alpha=5e-5, c=0.01, n_critic=5):
    w_optimizer = torch.optim.RMSprop(f.parameters(), lr=alpha)
    theta_optimizer = torch.optim.RMSprop(g.parameters(), lr=alpha)
    for k, batch in batches_of(job, torch.float32, BATCHES):
        x = batch["x"]
        m = len(x)
        w_optimizer.zero_grad()
        value = f(x).mean() - f(g(torch.randn(m, z_dim)).detach()).mean()
        (-value).backward()
        w_optimizer.step()
        with torch.no_grad():
            for w in f.parameters():
                w.copy_(w.clip(-c, c))
        if (k + 1) % n_critic == 0:
            theta_optimizer.zero_grad()
            (-f(g(torch.randn(m, z_dim))).mean()).backward()
            theta_optimizer.step()


def test_the_training_of_wgan_is_arjovskys_algorithm_1_bit_for_bit():
    job = job_of("model=wgan", "network.width=4", *DIGITS, "batch_size=64")
    start = copy.deepcopy(job.model)
    g, f = copy.deepcopy(start.generator), copy.deepcopy(start.discriminator)
    train(job, BATCHES)
    arjovsky(job, g, f)
    assert_moved(job.model, start)
    assert_same_weights(job.model.generator, g)
    assert_same_weights(job.model.discriminator, f)


# Zhu et al. 2017, sections 3 and 4


class History:
    """The last paragraph of section 4: so many earlier fakes, each shown again with probability 1/2."""

    def __init__(self, size):
        self.size, self.pictures, self.swaps = size, [], 0

    def ask(self, fakes):
        coins, places = torch.rand(len(fakes), dtype=torch.float64), torch.randint(self.size, (len(fakes),))
        return torch.cat([self.one(fake[None], *draws) for fake, *draws in zip(fakes, coins, places, strict=True)])

    def one(self, fake, coin, index):
        if len(self.pictures) < self.size:
            self.pictures.append(fake)
            return fake
        if coin < 0.5:
            old, self.pictures[index] = self.pictures[index], fake
            self.swaps += 1
            return old
        return fake


def zhu(job, g, f, d_x, d_y, histories, lr=2e-4, lam=10.0, identity=0.5):
    """G: X -> Y, F: Y -> X, D_X, D_Y as in the paper; X is domain a, Y is domain b."""
    gf_optimizer = torch.optim.Adam([*g.parameters(), *f.parameters()], lr, (0.5, 0.999))
    d_optimizer = torch.optim.Adam([*d_x.parameters(), *d_y.parameters()], lr, (0.5, 0.999))
    for k, batch in batches_of(job, torch.float64, BATCHES):
        for optimizer in (gf_optimizer, d_optimizer):  # constant for a half, then linearly to zero
            optimizer.param_groups[0]["lr"] = lr * min(1.0, 2 - 2 * k / BATCHES)
        x, y = batch["a"], batch["b"]
        fake_y, fake_x = g(x), f(y)
        one_way = ((d_y(fake_y) - 1) ** 2).mean() + lam * (f(fake_y) - x).abs().mean()
        other_way = ((d_x(fake_x) - 1) ** 2).mean() + lam * (g(fake_x) - y).abs().mean()
        same = identity * lam * (l1_loss(g(y), y) + l1_loss(f(x), x))
        gf_optimizer.zero_grad()
        (one_way + other_way + same).backward()
        gf_optimizer.step()
        d_optimizer.zero_grad()
        for d, real, fake, history in ((d_x, x, fake_x, histories[0]), (d_y, y, fake_y, histories[1])):
            shown = history.ask(fake.detach())
            (((d(real) - 1) ** 2).mean() / 2 + (d(shown) ** 2).mean() / 2).backward()
        d_optimizer.step()


def cancelled(network):
    """Biases in front of an InstanceNorm, which takes them away again: their gradients are rounding errors alone."""
    layers = dict(network.named_modules())
    for name, layer in layers.items():
        before, _, index = name.rpartition(".")
        if isinstance(layer, torch.nn.InstanceNorm2d):
            yield f"{before}.{int(index) - 1}.bias"


def test_the_training_of_cyclegan_is_that_of_zhu_et_al():
    size = ["network=cyclegan_small", "network.width=4", "network.blocks=1", "model.pool=4", "batch_size=2"]
    data = ["data=unpaired_digits", f"seed={SEED}"]
    job = job_of("model=cyclegan", *data, *size, "trainer.precision=64-true", "optimizer.fused=false")
    start = copy.deepcopy(job.model).double()
    players = [copy.deepcopy(net) for net in (start.a_to_b, start.b_to_a, start.d_a, start.d_b)]
    histories = History(4), History(4)
    train(job, BATCHES)
    zhu(job, *players, histories)
    assert_moved(job.model, start)
    for name, expected in zip(("a_to_b", "b_to_a", "d_a", "d_b"), players, strict=True):
        found = getattr(job.model, name)
        for bias in cancelled(found):  # two rounding errors that Adam has blown up
            noise = found.state_dict()[bias], expected.state_dict()[bias]
            assert all(0 < w.abs().max() < 1e-7 for w in noise)
            noise[0].copy_(noise[1])
        assert_same_weights(found, expected, atol=NEAR)
    assert all(history.swaps > 20 for history in histories)
    for side, history in zip("ab", histories, strict=True):
        kept = job.model.pools[side].kept
        assert torch.allclose(kept, torch.cat(history.pictures), rtol=0, atol=NEAR)
