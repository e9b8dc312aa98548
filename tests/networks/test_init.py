"""Initial weights against their distributions."""

import pytest
import torch
from torch import nn

from ganrun.networks import dcgan, init

pytestmark = pytest.mark.usefixtures("fixed_seed")


def test_normal_weights_have_the_deviation_of_section_4_and_norm_layers_a_mean_of_one():
    network = dcgan.Generator((3, 64, 64), 100, 32)
    init.normal_(network)
    for layer in network.layers:
        if isinstance(layer, nn.ConvTranspose2d):
            n = layer.weight.numel()
            assert float(layer.weight.mean().detach()) == pytest.approx(0, abs=4 * 0.02 / n**0.5)
            assert float(layer.weight.std().detach()) == pytest.approx(0.02, rel=4 / (2 * n) ** 0.5)
            assert layer.bias is None or not layer.bias.any()
        elif isinstance(layer, nn.BatchNorm2d):
            assert 0 < float((layer.weight - 1).abs().max().detach()) < 0.1
            assert not layer.bias.any()


def test_norm_layers_without_weights_are_not_changed():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2))
    init.normal_(network)
    assert not network[0].bias.any()


def test_xavier_weights_are_uniform_with_the_variance_of_equation_16():
    layer = nn.Linear(300, 500)
    init.xavier_(layer, gain=2.0)
    bound = 2 * (6 / 800) ** 0.5
    assert float(layer.weight.abs().max().detach()) == pytest.approx(bound, rel=1e-3)
    assert float(layer.weight.var().detach()) == pytest.approx(4 * 2 / 800, rel=0.02)
    assert not layer.bias.any()


@pytest.mark.parametrize(("inputs", "outputs"), [(6, 4), (4, 6)])
def test_orthogonal_weights_preserve_lengths_up_to_the_gain(inputs, outputs):
    layer = nn.Linear(inputs, outputs)
    init.orthogonal_(layer, gain=3.0)
    w = layer.weight.detach()
    product = w @ w.T if outputs < inputs else w.T @ w
    assert torch.allclose(product, 9 * torch.eye(4), atol=1e-5)
