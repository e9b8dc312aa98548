"""DCGAN's networks: shapes, the rules of Radford et al. 2016, section 3, and errors for other sizes."""

import pytest
import torch
from torch import nn

from ganrun.errors import UserError
from ganrun.networks import dcgan

SIZES = [28, 32, 64, 128]
DENSE_OR_POOLING = (nn.Linear, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Upsample)


def layers_of(network, *kinds):
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_the_generator_gives_images_of_the_shape_and_the_discriminator_one_score_each(size, channels):
    shape = (channels, size, size)
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
    assert up[0].kernel_size == down[-1].kernel_size == ((7, 7) if size == 28 else (4, 4))


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


@pytest.mark.parametrize("size", SIZES)
def test_features_have_the_stated_size(size):
    d = dcgan.Discriminator((1, size, size), 2)
    assert d.features(torch.zeros(2, 1, size, size)).shape == (2, d.channels, d.smallest, d.smallest)


@pytest.mark.parametrize("shape", [(1, 27, 27), (3, 256, 256), (3, 64, 32), (3, 16, 16)])
@pytest.mark.parametrize("network", [lambda shape: dcgan.Generator(shape, 7), dcgan.Discriminator])
def test_other_sizes_are_refused_with_the_supported_ones(network, shape):
    with pytest.raises(UserError, match=rf"28, 32, 64, 128 pixels, got images of {shape[1]}x{shape[2]}.*data.size="):
        network(shape)


def test_points_are_refused_with_a_network_for_them():
    with pytest.raises(UserError, match=r"got points.*network=mlp"):
        dcgan.Generator((2,), 7)
