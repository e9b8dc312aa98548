"""Layers that compare the examples of a batch, against slow loops of their papers' equations."""

import math

import pytest
import torch
from torch import nn

from ganrun.errors import UserError
from ganrun.networks import dcgan, mlp
from ganrun.networks.minibatch import LAYERS, Discrimination, StandardDeviation, minibatch_layers

SHAPES = [(6,), (3, 4, 5)]
DISCRIMINATORS = {
    "mlp": lambda minibatch: mlp.Discriminator((1, 8, 8), [12, 6], minibatch=minibatch),
    "dcgan": lambda minibatch: dcgan.Discriminator((1, 16, 16), width=4, batch_norm=False, minibatch=minibatch),
}
IMAGES = {"mlp": (1, 8, 8), "dcgan": (1, 16, 16)}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_standard_deviation_is_that_of_a_slow_loop(shape):
    """Karras et al. 2018, section 3: of each feature in each place over the batch, then the mean of them all."""
    x = torch.randn(7, *shape, dtype=torch.float64)
    found = StandardDeviation(shape)(x)
    deviations = []
    for feature in x.flatten(1).T.tolist():
        mean = sum(feature) / 7
        deviations.append(math.sqrt(sum((value - mean) ** 2 for value in feature) / 7 + 1e-8))
    assert torch.equal(found[:, :-1], x)
    assert found.shape == (7, shape[0] + 1, *shape[1:])
    assert found[:, -1].flatten().tolist() == pytest.approx([sum(deviations) / len(deviations)] * found[:, -1].numel())


@pytest.mark.parametrize("shape", SHAPES)
def test_discrimination_is_that_of_a_slow_loop(shape):
    """Salimans et al. 2016, section 3.2: M_i = f(x_i) T, c_b(x_i, x_j) = exp(-|M_ib - M_jb|_1), o_b = sum over j."""
    layer = Discrimination(shape, kernels=4, dimensions=3).double()
    x = torch.randn(5, *shape, dtype=torch.float64)
    found = layer(x).detach()
    weights = layer.project.weight.detach().view(3, 4, -1).transpose(0, 1)
    m = [[[float(row @ example.flatten()) for row in space] for space in weights] for example in x]
    assert found.shape == (5, shape[0] + 4, *shape[1:])
    for i in range(5):
        for b in range(4):
            terms = [math.exp(-sum(abs(p - q) for p, q in zip(m[i][b], m[j][b], strict=True))) for j in range(5)]
            plane = found[i, shape[0] + b]
            assert plane.flatten().tolist() == pytest.approx([sum(terms)] * plane.numel())
    assert torch.equal(found[:, : shape[0]], x)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("network", DISCRIMINATORS)
def test_the_score_of_an_example_depends_on_the_others_only_with_such_a_layer(network, name):
    x = torch.randn(4, *IMAGES[network])
    alike = x[:1].expand(4, -1, -1, -1)
    with_layer, without = DISCRIMINATORS[network](name), DISCRIMINATORS[network](None)
    assert (with_layer(x)[0] - with_layer(alike)[0]).abs() > 1e-6
    assert torch.allclose(without(x)[0], without(alike)[0], atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("network", DISCRIMINATORS)
def test_a_penalty_of_the_slope_has_the_gradient_of_finite_differences(network, name):
    d = DISCRIMINATORS[network](name).double()
    x = torch.randn(3, *IMAGES[network], dtype=torch.float64, requires_grad=True)
    weight = list(d.parameters())[-2]

    def penalty():
        return torch.autograd.grad(d(x).sum(), x, create_graph=True)[0].square().sum()

    (slope,) = torch.autograd.grad(penalty(), weight)
    values, h = weight.data.view(-1), 1e-6
    values[0] += h
    above = penalty().item()
    values[0] -= 2 * h
    assert slope.view(-1)[0].item() == pytest.approx((above - penalty().item()) / (2 * h), rel=1e-4, abs=1e-8)


def test_the_standard_deviation_of_bfloat16_is_computed_in_float32():
    x = (100 + torch.randn(512, 3)).bfloat16()
    found = StandardDeviation((3,))(x)
    assert found.dtype == torch.bfloat16
    assert found[0, -1].item() == pytest.approx(x.double().std(0).mean().item(), rel=0.01)


def test_without_a_layer_a_network_is_as_before():
    torch.manual_seed(0)
    plain = mlp.Discriminator((2,), [8])
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(), nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    assert plain.layers.state_dict().keys() == layers.state_dict().keys()
    assert all(torch.equal(w, v) for w, v in zip(plain.parameters(), layers.parameters(), strict=True))


def test_an_unknown_layer_is_refused():
    with pytest.raises(UserError, match="Did you mean discrimination"):
        minibatch_layers("discriminaton", [3])
