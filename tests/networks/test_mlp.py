"""The fully connected networks."""

import pytest
import torch
from torch import nn

from ganrun.networks.mlp import Discriminator, Generator, Maxout


def test_maxout_is_the_maximum_of_its_pieces_as_in_a_slow_loop():
    maxout = Maxout(inputs=3, outputs=4, pieces=5).double()
    x = torch.randn(6, 3, dtype=torch.float64)
    weight, bias = maxout.linear.weight, maxout.linear.bias
    for row, found in zip(x, maxout(x), strict=True):
        for unit in range(4):
            pieces = range(5 * unit, 5 * unit + 5)
            assert float(found[unit].detach()) == pytest.approx(
                max(float((weight[p] @ row + bias[p]).detach()) for p in pieces)
            )


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7)])
def test_images_have_the_shape_and_are_in_range(shape):
    pictures = Generator(shape, z_dim=4, hidden=[16, 8])(100 * torch.randn(6, 4))
    assert pictures.shape == (6, *shape)
    assert pictures.abs().max() <= 1


def test_points_are_unbounded():
    points = Generator((2,), z_dim=4, hidden=[16])(1000 * torch.randn(64, 4))
    assert points.shape == (64, 2)
    assert points.abs().max() > 2


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("shape", [(1, 28, 28), (2,)])
def test_the_discriminator_gives_one_score_for_each_example(shape, pieces):
    assert Discriminator(shape, hidden=[8, 6], pieces=pieces)(torch.zeros(5, *shape)).shape == (5,)


def test_the_layers_have_the_given_widths():
    linear = [layer for layer in Discriminator((2,), hidden=[8, 6], pieces=5).modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(2, 40), (8, 30), (6, 1)]
    linear = [layer for layer in Generator((2,), 4, hidden=[8, 6]).modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(4, 8), (8, 6), (6, 2)]


def test_dropout_is_active_only_in_training():
    d, x = Discriminator((2,), hidden=[64], dropout=0.5), torch.ones(1, 2)
    assert not torch.equal(d(x), d(x))
    d.eval()
    assert torch.equal(d(x), d(x))
