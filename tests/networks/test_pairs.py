"""Discriminators of pairs: what each score depends on, and its value from the weights."""

import pytest
import torch
from torch.nn.functional import leaky_relu, linear

from ganrun.networks import resnet
from ganrun.networks.pairs import UnaryPairDiscriminator

Z_DIM, N = 5, 3


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def pair(shape=(1, 28, 28)):
    return torch.randn(N, Z_DIM, dtype=torch.float64), torch.rand(N, *shape, dtype=torch.float64) * 2 - 1


def judge(shape=(1, 28, 28)):
    def net(outputs):
        return resnet.Encoder(shape, outputs, width=4)

    return UnaryPairDiscriminator(net, Z_DIM, features=7, hidden=[6, 8]).double()


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 8, 16)])
def test_each_score_depends_on_what_it_is_of(shape):
    z, x = (each.requires_grad_() for each in pair(shape))
    scores = judge(shape)(z, x)
    assert scores.shape == (N, 3)
    for column, (of_z, of_x) in enumerate([(False, True), (True, False), (True, True)]):
        slopes = torch.autograd.grad(scores[:, column].sum(), (z, x), retain_graph=True, materialize_grads=True)
        assert [bool(slope.any()) for slope in slopes] == [of_z, of_x]


def test_the_joint_score_is_that_of_the_features_that_the_others_are_made_of():
    network, (z, x) = judge(), pair()
    weights = {name: w for name, w in network.named_parameters() if "of_image" not in name}

    def layers(inputs, *names):
        for name in names:
            inputs = leaky_relu(linear(inputs, weights[f"{name}.weight"], weights[f"{name}.bias"]), 0.2)
        return inputs

    def score(number, features):
        return linear(features, weights[f"scores.{number}.weight"], weights[f"scores.{number}.bias"])[:, 0]

    image = leaky_relu(network.of_image[0](x), 0.2)
    code = layers(z, "of_code.1", "of_code.3")
    both = layers(torch.cat([image, code], 1), "of_pair.1", "of_pair.3")
    expected = [score(0, image), score(1, code), score(2, both)]
    assert torch.allclose(network(z, x), torch.stack(expected, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("sides", "last"), [((28, 28), (7, 7)), ((32, 32), (8, 8)), ((64, 48), (8, 6)), ((8, 16), (4, 8))]
)
def test_the_encoder_sees_all_pixels_of_the_last_map(sides, last):
    encoder = resnet.Encoder((3, *sides), outputs=6, width=4)
    x = torch.randn(2, 3, *sides)
    assert encoder.features(x).shape == (2, 4, *last)
    assert encoder(x).shape == (2, 6)
