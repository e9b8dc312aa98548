"""Principal directions, against the eigenvectors of A^T A of layers whose A is known."""

import pytest
import torch
from torch import nn

from ganrun.errors import UserError
from ganrun.networks.conditional import LabelledGenerator
from ganrun.networks.dcgan import Generator
from ganrun.networks.projection import ConditionalNormGenerator
from ganrun.networks.sefa import principal_directions


def eigenvectors(matrix):
    """Those of A^T A, the largest eigenvalue first: [k, z_dim]."""
    return torch.linalg.eigh(matrix.T.double() @ matrix.double()).eigenvectors.T.flip(0)


def check_directions(found, matrix, count=3):
    """Check the first directions up to their signs, for which the largest part is positive."""
    expected = eigenvectors(matrix)[:count].float()
    torch.testing.assert_close((found[:count] * expected).sum(1).abs(), torch.ones(count), atol=1e-4, rtol=0)
    assert (found[:count].gather(1, found[:count].abs().argmax(1, keepdim=True)) > 0).all()


def test_a_linear_layer():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU(), nn.Linear(20, 3)).eval()
    check_directions(principal_directions(net, 6), net[0].weight)


def test_the_first_transposed_convolution_of_dcgan():
    torch.manual_seed(0)
    net = Generator(shape=(1, 28, 28), z_dim=7, width=4).eval()
    first = next(module for module in net.modules() if isinstance(module, nn.ConvTranspose2d))
    check_directions(principal_directions(net, 7), first.weight.flatten(1).T)


def test_a_class_beside_z_changes_nothing_where_the_layer_is_linear_in_both():
    torch.manual_seed(0)
    net = LabelledGenerator(lambda z_dim: nn.Sequential(nn.Linear(z_dim, 9), nn.Tanh()), 5, classes=3).eval()
    check_directions(principal_directions(net, 5, torch.tensor([2])), net.net[0].weight[:, :5])


def test_a_generator_with_conditional_norms():
    torch.manual_seed(0)
    net = ConditionalNormGenerator((1, 28, 28), z_dim=6, classes=3, width=4).eval()
    check_directions(principal_directions(net, 6, torch.tensor([1])), net.layers[0].weight.flatten(1).T)


def test_directions_are_orthonormal_and_the_network_is_left_without_hooks():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 20), nn.ReLU()).eval()
    found = principal_directions(net, 6)
    torch.testing.assert_close(found @ found.T, torch.eye(6), atol=1e-5, rtol=0)
    assert net(torch.zeros(1, 6)).shape == (1, 20)


def test_fewer_outputs_than_latents_give_fewer_directions():
    torch.manual_seed(0)
    assert principal_directions(nn.Linear(6, 2), 6).shape == (2, 6)


class Squared(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 8)

    def forward(self, z):
        return self.layer(z * z)


def test_a_first_layer_that_is_not_linear_in_z_has_none():
    with pytest.raises(UserError, match="not linear in z"):
        principal_directions(Squared(), 4)


class SquaredInPart(Squared):
    """Linear in the first number alone."""

    def forward(self, z):
        return self.layer(torch.cat([z[:, :1], z[:, 1:].square()], dim=1))


def test_a_layer_that_is_linear_in_some_numbers_has_none():
    with pytest.raises(UserError, match="not linear in z"):
        principal_directions(SquaredInPart(), 4)


class Parts(nn.Module):
    """A generator whose first layer takes the last two numbers of z, and a later one the others."""

    def __init__(self):
        super().__init__()
        self.first, self.later = nn.Linear(2, 5), nn.Linear(2, 5)

    def forward(self, z):
        return self.first(z[:, 2:]) + self.later(z[:, :2])


def test_the_first_layer_counts_though_it_takes_a_part_of_z_only():
    torch.manual_seed(0)
    net = Parts()
    found = principal_directions(net, 4)
    assert found.shape == (2, 4)  # directions that change nothing are left out
    torch.testing.assert_close(found[:, :2], torch.zeros(2, 2))
    check_directions(found[:, 2:], net.first.weight, count=2)


class WithoutLayers(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, z):
        return z * self.scale


def test_a_generator_without_layers_has_none():
    with pytest.raises(UserError, match="no layer"):
        principal_directions(WithoutLayers(), 4)
