"""Conditional networks."""

from functools import partial

import pytest
import torch
from torch import nn

from ganrun.networks import conditional, dcgan, projection

SHAPE, CLASSES = (1, 28, 28), 3


def test_a_label_map_is_ones_in_the_plane_of_the_class():
    y = torch.tensor([2, 0])
    maps = conditional.label_maps(y, 3, torch.zeros(2, 7, 4, 5))
    assert maps.shape == (2, 3, 4, 5)
    for example, label in enumerate(y):
        for plane in range(3):
            assert bool((maps[example, plane] == float(plane == label)).all())


@pytest.mark.parametrize("sides", [(96, 96), (48, 64)])
def test_the_conditional_networks_take_the_sizes_of_the_ones_they_wrap(sides):
    y, shape = torch.tensor([0, 2]), (3, *sides)
    g = conditional.LabelledGenerator(partial(dcgan.Generator, shape=shape, width=2), 5, CLASSES)
    pictures = g(torch.randn(2, 5), y)
    assert pictures.shape == (2, *shape)
    for kind in (conditional.LabelMapDiscriminator, conditional.HiddenJoinDiscriminator):
        assert kind(partial(dcgan.Discriminator, width=2), shape, CLASSES)(pictures, y).shape == (2,)


def generators():
    net = partial(dcgan.Generator, shape=SHAPE, width=2)
    return [
        conditional.LabelledGenerator(net, 5, CLASSES),
        conditional.MirzaGenerator(SHAPE, 5, CLASSES),
        projection.ConditionalNormGenerator(SHAPE, 5, CLASSES, width=8),
    ]


def discriminators():
    net = partial(dcgan.Discriminator, width=2)
    return [
        conditional.LabelMapDiscriminator(net, SHAPE, CLASSES),
        conditional.HiddenJoinDiscriminator(net, SHAPE, CLASSES),
        conditional.MirzaDiscriminator(SHAPE, CLASSES),
    ]


@pytest.mark.parametrize("g", generators(), ids=lambda g: type(g).__name__)
def test_generated_images_depend_on_the_class(g):
    z = torch.randn(1, 5).expand(3, 5)
    pictures = g.eval()(z, torch.arange(3))
    assert pictures.shape == (3, *SHAPE)
    assert pictures.abs().max() <= 1
    assert not torch.allclose(pictures[0], pictures[1])


@pytest.mark.parametrize("g", generators(), ids=lambda g: type(g).__name__)
def test_weights_of_classes_lead_from_one_class_to_the_other(g):
    z, y = torch.randn(1, 5).expand(2, 5), torch.tensor([2, 0])
    assert g.takes_class_weights
    g.eval()
    weights = torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    torch.testing.assert_close(g(z, weights), g(z, y))
    between = g(z[:1], weights.mean(0, keepdim=True))
    assert all(not torch.allclose(between[0], end) for end in g(z, y))


@pytest.mark.parametrize("d", discriminators(), ids=lambda d: type(d).__name__)
def test_scores_depend_on_image_and_class(d):
    x = torch.rand(1, *SHAPE).expand(3, *SHAPE) * 2 - 1
    scores = d.eval()(x, torch.arange(3))
    assert scores.shape == (3,)
    assert len(scores.unique()) == 3


def test_the_input_of_a_labelled_generator_is_z_and_the_one_hot_class():
    seen = []
    g = conditional.LabelledGenerator(lambda z_dim: nn.Identity(), 2, CLASSES)
    g.net.register_forward_hook(lambda net, inputs, output: seen.append(inputs[0]))
    g(torch.tensor([[0.5, -1.0]]), torch.tensor([1]))
    assert seen[0].tolist() == [[0.5, -1.0, 0.0, 1.0, 0.0]]


def test_the_input_of_a_label_map_discriminator_is_image_and_maps():
    d = discriminators()[0]
    assert next(layer for layer in d.modules() if isinstance(layer, nn.Conv2d)).in_channels == 1 + CLASSES


def test_the_hidden_join_is_a_1x1_convolution_of_features_and_maps():
    d = discriminators()[1]
    assert (d.join[0].kernel_size, d.join[0].in_channels, d.join[0].out_channels) == ((1, 1), 4 + CLASSES, 4)


def widths(network):
    return {name: (m.in_features, m.out_features) for name, m in network.named_modules() if isinstance(m, nn.Linear)}


def test_the_fully_connected_networks_have_the_widths_of_section_4_1():
    g, d = conditional.MirzaGenerator(SHAPE, 100, 10), conditional.MirzaDiscriminator(SHAPE, 10)
    assert widths(g) == {"from_z": (100, 200), "from_y": (10, 1000), "joint": (1200, 1200), "out": (1200, 784)}
    assert widths(d) == {
        "from_x.linear": (784, 240 * 5),
        "from_y.linear": (10, 50 * 5),
        "joint.linear": (290, 240 * 4),
        "score": (240, 1),
    }
