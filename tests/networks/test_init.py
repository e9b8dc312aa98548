"""Initial weights against their distributions."""

import pytest
import torch
from torch import nn

from ganrun.networks import dcgan, init
from ganrun.networks.spectral_norm import normalize_spectrum

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


INITS = {"normal": init.normal_, "xavier": init.xavier_, "orthogonal": init.orthogonal_}
LAYERS = {
    "linear": lambda: nn.Linear(4, 6),
    "bilinear": lambda: nn.Bilinear(4, 3, 5),
    **{f"convolution {n}": lambda n=n: (nn.Conv1d, nn.Conv2d, nn.Conv3d)[n](4, 6, 3) for n in range(3)},
    **{
        f"transposed {n}": lambda n=n: (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[n](4, 6, 3)
        for n in range(3)
    },
    "embedding": lambda: nn.Embedding(7, 5),
    "lstm": lambda: nn.LSTM(4, 6),
    "gru cell": lambda: nn.GRUCell(4, 6),
    "attention": lambda: nn.MultiheadAttention(8, 2),
    "spectral norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(4, 6)),
    "unit spectral norm": lambda: unit(nn.ConvTranspose2d(4, 6, 3)),
    "weight norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)),
    "hook of spectral norm": lambda: nn.utils.spectral_norm(nn.Linear(4, 6)),
}


def unit(network):
    normalize_spectrum(network)
    return network


@pytest.mark.parametrize("how", INITS)
@pytest.mark.parametrize("kind", LAYERS)
def test_every_kind_of_layer_gets_new_weights_and_no_bias(how, kind):
    layer = LAYERS[kind]()
    before = {name: w.detach().clone() for name, w in layer.named_parameters()}
    INITS[how](layer)
    for name, w in layer.named_parameters():
        if "bias" in name:
            assert not w.any()
        elif kind != "weight norm" or name.endswith("original1"):  # the other is the length
            assert not torch.equal(w, before[name]), name
    if kind.startswith(("spectral", "unit", "hook")):
        layer.eval()
        layer(torch.zeros(2, 4, *[5] * 2 * kind.startswith("unit")))
        assert largest_singular_value(layer) == pytest.approx(1, rel=0.02)


def largest_singular_value(layer):
    axis = 1 if getattr(layer, "transposed", False) else 0
    return float(torch.linalg.matrix_norm(layer.weight.detach().movedim(axis, 0).flatten(1), 2))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_weight_norm_of_both_kinds_has_the_filled_weight():
    torch.manual_seed(3)
    plain = nn.Linear(4, 6)
    init.normal_(plain)
    for wrap in (nn.utils.parametrizations.weight_norm, nn.utils.weight_norm):
        layer = wrap(nn.Linear(4, 6))
        torch.manual_seed(3)
        nn.Linear(4, 6)
        init.normal_(layer)
        layer(torch.zeros(1, 4))
        assert torch.allclose(layer.weight, plain.weight, atol=1e-7)


@pytest.mark.parametrize(
    "norm",
    [nn.BatchNorm1d(9), nn.BatchNorm3d(9), nn.InstanceNorm1d(9, affine=True), nn.LayerNorm(9), nn.GroupNorm(3, 9)],
)
def test_normal_reaches_every_kind_of_norm(norm):
    init.normal_(norm, 0.02)
    assert 0 < float((norm.weight - 1).abs().max().detach()) < 0.1


def test_a_row_for_padding_and_parameters_of_own_modules_are_kept():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.start, self.words = nn.Parameter(torch.ones(3, 3)), nn.Embedding(4, 3, padding_idx=1)

    network = Own()
    init.normal_(network)
    assert (network.start == 1).all()
    assert not network.words.weight[1].any()
    assert network.words.weight[0].all()


def test_a_weight_that_cannot_be_set_stays():
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(6, 6))
    init.normal_(layer)
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(6), atol=1e-5)
    assert not layer.bias.any()
