"""DCGAN's networks: shapes, the rules of Radford et al. 2016, section 3, and errors for other sizes."""

import re
from itertools import pairwise

import pytest
import torch
from torch import nn

from ganrun.errors import UserError
from ganrun.networks import dcgan

FORMER = {28: 7, 32: 4, 64: 4, 128: 4}  # sizes of version 0.1, and the sides of their smallest feature maps
SIZES = [*FORMER, 8, 14, 20, 48, 96, 112]
SHAPES = [(size, size) for size in SIZES] + [(48, 64), (64, 48), (64, 96), (32, 64), (28, 32), (32, 128), (80, 48)]
DENSE_OR_POOLING = (nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample)


def layers_of(network, *kinds):
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sides", SHAPES)
def test_the_generator_gives_images_of_the_shape_and_the_discriminator_one_score_each(sides, channels):
    shape = (channels, *sides)
    pictures = dcgan.Generator(shape, z_dim=7, width=2)(torch.randn(3, 7))
    assert pictures.shape == (3, *shape)
    assert pictures.abs().max() <= 1
    assert dcgan.Discriminator(shape, width=2)(pictures).shape == (3,)


@pytest.mark.parametrize("size", SIZES)
def test_there_are_no_dense_and_no_pooling_layers(size):
    for network in (dcgan.Generator((3, size, size), 7, 2), dcgan.Discriminator((3, size, size), 2)):
        assert not layers_of(network, *DENSE_OR_POOLING)


@pytest.mark.parametrize("size", SIZES)
def test_sides_change_only_by_strided_convolutions(size):
    g, d = dcgan.Generator((3, size, size), 7, 2), dcgan.Discriminator((3, size, size), 2)
    up, down = layers_of(g, nn.ConvTranspose2d), layers_of(d, nn.Conv2d)
    assert [layer.stride for layer in up] == [(1, 1)] + [(2, 2)] * (len(up) - 1)
    assert [layer.stride for layer in down] == [(2, 2)] * (len(down) - 1) + [(1, 1)]
    assert up[0].kernel_size == down[-1].kernel_size
    assert 4 <= up[0].kernel_size[0] <= 7


@pytest.mark.parametrize("size", SIZES)
def test_batchnorm_and_relu_follow_every_layer_of_the_generator_but_the_last_which_has_tanh(size):
    layers = list(dcgan.Generator((3, size, size), 7, 2).layers)
    hidden, last = layers[:-2], layers[-2:]
    assert [type(layer) for layer in hidden] == [nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU] * (len(hidden) // 3)
    assert [type(layer) for layer in last] == [nn.ConvTranspose2d, nn.Tanh]


@pytest.mark.parametrize("size", SIZES)
def test_batchnorm_follows_every_layer_of_the_discriminator_but_the_first_and_all_are_leaky(size):
    d = dcgan.Discriminator((3, size, size), 2)
    first, hidden = list(d.features)[:2], list(d.features)[2:]
    assert [type(layer) for layer in first] == [nn.Conv2d, nn.LeakyReLU]
    assert [type(layer) for layer in hidden] == [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU] * (len(hidden) // 3)
    assert {layer.negative_slope for layer in layers_of(d, nn.LeakyReLU)} == {0.2}
    assert isinstance(d.score, nn.Conv2d)


def test_without_batchnorm_a_score_depends_on_its_image_only_and_every_convolution_has_a_bias():
    d = dcgan.Discriminator((3, 32, 32), 2, batch_norm=False)
    x = torch.randn(5, 3, 32, 32)
    assert torch.allclose(d(x)[:2], d(x[:2]), atol=1e-6)
    usual = dcgan.Discriminator((3, 32, 32), 2)
    assert not torch.allclose(usual(x)[:2], usual(x[:2]), atol=1e-6)
    assert all(layer.bias is not None for layer in layers_of(d, nn.Conv2d))


def test_at_64_pixels_and_width_128_the_generator_is_that_of_figure_1():
    g = dcgan.Generator((3, 64, 64), z_dim=100, width=128)
    assert [layer.out_channels for layer in layers_of(g, nn.ConvTranspose2d)] == [1024, 512, 256, 128, 3]
    sides, x = [], torch.randn(2, 100, 1, 1)
    with torch.no_grad():
        for layer in g.layers:
            x = layer(x)
            if isinstance(layer, nn.ConvTranspose2d):
                sides.append(x.shape[-1])
    assert sides == [4, 8, 16, 32, 64]


@pytest.mark.parametrize("size", SIZES)
def test_the_discriminator_mirrors_the_generator(size):
    g, d = dcgan.Generator((3, size, size), 7, 4), dcgan.Discriminator((3, size, size), 4)
    up = [layer.in_channels for layer in layers_of(g, nn.ConvTranspose2d)][1:]
    down = [layer.out_channels for layer in layers_of(d, nn.Conv2d)][:-1]
    assert up == down[::-1]


@pytest.mark.parametrize("sides", SHAPES)
def test_features_have_the_stated_size(sides):
    d = dcgan.Discriminator((1, *sides), 2)
    assert d.features(torch.zeros(2, 1, *sides)).shape == (2, d.channels, *d.smallest)


@pytest.mark.parametrize(
    ("sides", "smallest", "doublings"),
    [((96, 96), (6, 6), 4), ((48, 64), (6, 8), 3), ((64, 96), (4, 6), 4), ((256, 128), (8, 4), 5), ((8, 8), (4, 4), 1)],
)
def test_the_smallest_map_has_the_proportions_of_the_image(sides, smallest, doublings):
    assert dcgan.smallest_map((3, *sides)) == (smallest, doublings)


@pytest.mark.parametrize("side", FORMER)
def test_networks_of_users_still_get_the_side_of_the_smallest_map_as_a_number(side):
    smallest, doublings = dcgan.smallest_side_and_doublings((1, side, side))
    assert (smallest, smallest << doublings) == (FORMER[side], side)


def test_networks_of_users_for_square_images_are_refused_others():
    with pytest.raises(UserError, match=r"needs square images, got 48x64\. Set data\.size=48"):
        dcgan.smallest_side_and_doublings((3, 48, 64))


def test_a_side_fits_if_it_is_4_to_8_times_a_power_of_two_and_the_nearest_such_side_is_found():
    allowed = sorted({times * 2**n for times in range(4, 9) for n in range(1, 9)})
    for side in range(1, 600):
        nearest = dcgan.nearest_side(side)
        assert nearest in allowed
        assert abs(nearest - side) == min(abs(other - side) for other in allowed)


def test_channels_double_up_to_those_of_128_pixels():
    widths = []
    for size in (32, 64, 128, 256, 512):
        with torch.device("meta"):
            layers = layers_of(dcgan.Generator((3, size, size), 100), nn.ConvTranspose2d)
        widths.append([layer.out_channels for layer in layers][:-1])
    assert widths[:2] == [[256, 128, 64], [512, 256, 128, 64]]
    assert widths[2:] == [[*[1024] * n, 512, 256, 128, 64] for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("sides", "nearest"),
    [
        ((27, 27), "data.size=28"),
        ((100, 100), "data.size=96"),
        ((300, 300), "data.size=320"),
        ((4, 4), "data.size=8"),
        ((1, 64), "'data.size=[8,64]'"),
        ((48, 66), "'data.size=[48,64]'"),
        ((480, 640), "'data.size=[448,640]'"),
        ((218, 178), "'data.size=[224,192]'"),
    ],
)
@pytest.mark.parametrize(
    "network", [lambda shape: dcgan.Generator(shape, 7, 1), lambda shape: dcgan.Discriminator(shape, 1)]
)
def test_other_sizes_are_refused_with_the_nearest_one(network, sides, nearest):
    with pytest.raises(UserError, match=rf"got {sides[0]}x{sides[1]}.*such size is {re.escape(nearest)}: .*data.fit"):
        network((3, *sides))


def test_points_are_refused():
    with pytest.raises(UserError, match="need images, got points"):
        dcgan.Generator((2,), 7)


@pytest.mark.parametrize("size", FORMER)
def test_the_sizes_of_version_0_1_keep_their_layers_and_their_weights_for_a_seed(size):
    shape, smallest = (3, size, size), FORMER[size]
    widths = [3 * 2**i for i in range((size // smallest).bit_length() - 1)]
    torch.manual_seed(5)
    up = [nn.ConvTranspose2d(7, widths[-1], smallest, bias=False), nn.BatchNorm2d(widths[-1]), nn.ReLU()]
    for inputs, outputs in pairwise(widths[::-1]):
        up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    up = nn.ModuleDict({"layers": nn.Sequential(*up, nn.ConvTranspose2d(3, 3, 4, 2, 1), nn.Tanh())})
    down = [nn.Conv2d(3, 3, 4, 2, 1), nn.LeakyReLU(0.2)]
    for inputs, outputs in pairwise(widths):
        down += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
    down = nn.ModuleDict({"features": nn.Sequential(*down), "score": nn.Conv2d(widths[-1], 1, smallest)})
    torch.manual_seed(5)
    for network, former in ((dcgan.Generator(shape, 7, 3), up), (dcgan.Discriminator(shape, 3), down)):
        weights, expected = network.state_dict(), former.state_dict()
        assert list(weights) == list(expected)
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
