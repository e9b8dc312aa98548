"""Spectral normalization against singular value decompositions and torch's own."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from ganrun.networks import init
from ganrun.networks.spectral_norm import normalize_spectrum

pytestmark = pytest.mark.usefixtures("fixed_seed")
LAYERS = {
    "linear": (nn.Linear(5, 7), 0),
    "convolution": (nn.Conv2d(3, 6, 3), 0),
    "one dimension": (nn.Conv1d(3, 6, 3), 0),
    "transposed": (nn.ConvTranspose2d(3, 6, 4), 1),
    "embedding": (nn.Embedding(9, 4), 0),
}


def sigma(weight, axis=0):
    return float(torch.linalg.svdvals(weight.detach().movedim(axis, 0).flatten(1))[0])


def normalized(layer):
    layer = copy.deepcopy(layer)
    normalize_spectrum(layer)
    return layer


@pytest.mark.parametrize("kind", LAYERS)
def test_the_largest_singular_value_is_one(kind):
    layer, axis = LAYERS[kind]
    layer = normalized(layer)
    for _ in range(200):
        _ = layer.weight
    assert sigma(layer.weight, axis) == pytest.approx(1, rel=1e-4)


def test_a_known_matrix_is_divided_by_its_singular_value():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    layer = normalized(layer)
    assert torch.allclose(layer.weight, torch.tensor([[1.0, 0.0], [0.0, 1 / 3]]), atol=1e-6)
    assert torch.equal(layer.parametrizations.weight.original, torch.tensor([[3.0, 0.0], [0.0, 1.0]]))


@pytest.mark.parametrize("kind", ["linear", "convolution", "transposed"])
def test_weights_and_gradients_are_those_of_torchs_own(kind):
    layer, _ = LAYERS[kind]
    own, other = normalized(layer), spectral_norm(copy.deepcopy(layer))
    ours, theirs = own.parametrizations.weight[0], other.parametrizations.weight[0]
    theirs._u.copy_(ours.u)
    theirs._v.copy_(ours.v)
    for _ in range(3):
        for network in (own, other):
            network.zero_grad()
            network.weight.sin().sum().backward()
        assert torch.allclose(own.weight, other.weight, atol=1e-6)
        gradients = [network.parametrizations.weight.original.grad for network in (own, other)]
        assert torch.allclose(*gradients, atol=1e-6)


def test_u_and_v_follow_the_weights_in_training_mode_only():
    layer = normalized(nn.Linear(5, 7))
    layer.parametrizations.weight.original.data.normal_()
    before = layer.parametrizations.weight[0].u.clone()
    _ = layer.eval().weight
    assert torch.equal(layer.parametrizations.weight[0].u, before)
    _ = layer.train().weight
    assert not torch.equal(layer.parametrizations.weight[0].u, before)


@pytest.mark.parametrize("how", [init.normal_, init.xavier_, init.orthogonal_])
def test_it_stays_right_after_an_initialization(how):
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 4))
    normalize_spectrum(network)
    how(network)
    network.eval()
    assert sigma(network[0].weight) == pytest.approx(1, rel=0.05)
    assert sigma(network[2].weight, 1) == pytest.approx(1, rel=0.05)


def test_a_deep_copy_is_normalized_by_its_own_weights():
    network = normalized(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1)))
    other = copy.deepcopy(network)
    with torch.no_grad():
        for w in other.parameters():
            w.mul_(3).add_(0.1)
    start = network[0].weight.clone()
    for _ in range(100):
        _ = other[0].weight
    assert sigma(other[0].weight) == pytest.approx(1, rel=1e-4)
    network.eval()
    assert torch.allclose(network[0].weight, start, atol=1e-3)


def test_a_state_dict_holds_weights_and_singular_vectors():
    network, other = (normalized(nn.Linear(5, 7)) for _ in range(2))
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(network.eval().weight, other.eval().weight)


def test_it_is_computed_in_float32_under_autocast():
    layer = normalized(nn.Linear(64, 32))
    expected = copy.deepcopy(layer).weight
    with torch.autocast("cpu", torch.bfloat16):
        found = layer.weight
        assert layer(torch.randn(2, 64)).dtype == torch.bfloat16
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_two_passes_before_a_backward_pass_are_possible():
    network = normalized(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))
    x = torch.randn(3, 4, requires_grad=True)
    loss = network(x).sum() - network(2 * x).sum()
    (slope,) = torch.autograd.grad(loss, x, create_graph=True)
    (loss + slope.square().sum()).backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in network[0].parametrizations.parameters())


def test_a_second_normalization_changes_nothing():
    network = normalized(nn.Linear(4, 8))
    names = [*network.state_dict()]
    normalize_spectrum(network)
    assert [*network.state_dict()] == names
