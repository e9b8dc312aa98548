"""CycleGAN's networks against Zhu et al. 2017, appendix 7.2."""

import re

import pytest
import torch
from torch import nn

from ganrun.errors import UserError
from ganrun.networks.cyclegan import PatchDiscriminator, Residual, ResNetGenerator

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


def name_of(layer):
    """The appendix's name of a layer: c7s1-k, dk, uk or Rk."""
    if isinstance(layer, Residual):
        return f"R{layer.layers[0].out_channels}"
    kind = (type(layer), layer.kernel_size, layer.stride)
    kinds = {
        (nn.Conv2d, (7, 7), (1, 1)): "c7s1-",
        (nn.Conv2d, (3, 3), (2, 2)): "d",
        (nn.ConvTranspose2d, (3, 3), (2, 2)): "u",
    }
    return f"{kinds[kind]}{layer.out_channels}"


@pytest.mark.parametrize(("side", "blocks"), [(64, 6), (128, 6), (132, 9), (256, 9)])
def test_the_generator_has_the_layers_of_the_appendix(side, blocks):
    with torch.device("meta"):
        layers = ResNetGenerator((3, side, side)).layers
    found = [name_of(layer) for layer in layers if isinstance(layer, (*CONVOLUTIONS, Residual))]
    assert found == ["c7s1-64", "d128", "d256", *["R256"] * blocks, "u128", "u64", "c7s1-3"]


def test_instance_norm_and_relu_follow_every_convolution_of_the_generator_but_the_last():
    layers = [layer for layer in ResNetGenerator((3, 32, 32), 2, 2).layers if not isinstance(layer, Residual)]
    hidden, last = layers[:-2], layers[-2:]
    assert all(isinstance(layer, CONVOLUTIONS) for layer in hidden[::3])
    assert [type(layer) for layer in hidden[1::3]] == [nn.InstanceNorm2d] * 5
    assert [type(layer) for layer in hidden[2::3]] == [nn.ReLU] * 5
    assert [type(layer) for layer in last] == [nn.Conv2d, nn.Tanh]


def test_a_residual_block_adds_two_normalized_3x3_convolutions_with_reflection_padding():
    block = Residual(4)
    kinds = [nn.Conv2d, nn.InstanceNorm2d, nn.ReLU, nn.Conv2d, nn.InstanceNorm2d, nn.Identity]
    assert [type(layer) for layer in block.layers] == kinds
    convolutions = [layer for layer in block.layers if isinstance(layer, nn.Conv2d)]
    assert all((c.kernel_size, c.padding_mode) == ((3, 3), "reflect") for c in convolutions)
    x = torch.randn(2, 4, 8, 8)
    assert torch.equal(block(x), x + block.layers(x))


@pytest.mark.parametrize("shape", [(3, 24, 24), (3, 28, 28), (1, 32, 64), (3, 64, 64)])
def test_a_translation_has_the_shape_of_its_input_and_is_in_range(shape):
    pictures = ResNetGenerator(shape, 2, 1)(torch.rand(2, *shape) * 2 - 1)
    assert pictures.shape == (2, *shape)
    assert pictures.abs().max() <= 1


@pytest.mark.parametrize(
    ("shape", "nearest"),
    [
        ((3, 30, 32), "data.size=32"),
        ((3, 32, 29), "'data.size=[32,28]'"),
        ((3, 12, 12), "data.size=24"),
        ((3, 479, 642), "'data.size=[480,644]'"),
    ],
)
def test_sides_that_cannot_be_halved_twice_are_refused_with_the_nearest_ones(shape, nearest):
    message = rf"multiples of 4 and at least 24, got {shape[1]}x{shape[2]}.*{re.escape(nearest)}"
    with pytest.raises(UserError, match=message):
        ResNetGenerator(shape, 2)


def test_points_are_refused():
    with pytest.raises(UserError, match="need images, got points"):
        ResNetGenerator((2,), 2)


@pytest.mark.parametrize(("shape", "blocks"), [((3, 128, 64), 6), ((3, 132, 64), 9), ((3, 64, 132), 9)])
def test_the_longer_side_decides_on_the_number_of_blocks(shape, blocks):
    with torch.device("meta"):
        layers = ResNetGenerator(shape).layers
    assert sum(isinstance(layer, Residual) for layer in layers) == blocks


@pytest.mark.parametrize(("side", "scores"), [(24, 1), (28, 1), (32, 2), (64, 6), (128, 14), (256, 30)])
def test_there_is_a_score_for_each_patch(side, scores):
    with torch.device("meta"):
        found = PatchDiscriminator((3, side, side), 2)(torch.empty(2, 3, side, side))
    assert found.shape == (2, 1, scores, scores)


def test_the_patch_discriminator_is_c64_c128_c256_c512_and_a_score():
    with torch.device("meta"):
        layers = list(PatchDiscriminator((3, 64, 64)).layers)
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [(c.out_channels, c.stride[0]) for c in convolutions] == [(64, 2), (128, 2), (256, 2), (512, 1), (1, 1)]
    assert {c.kernel_size for c in convolutions} == {(4, 4)}
    names = [type(layer).__name__ for layer in layers]
    leaky = ["Conv2d", "InstanceNorm2d", "LeakyReLU"]
    assert names == ["Conv2d", "LeakyReLU", *leaky * 3, "Conv2d"]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.2}


def test_a_score_depends_on_exactly_70x70_pixels():
    d = PatchDiscriminator((1, 128, 128), 2).double()
    for layer in d.layers:  # norms see the whole picture: what is asked is what the convolutions see
        if isinstance(layer, nn.InstanceNorm2d):
            layer.forward = lambda x: x
    x = torch.randn(1, 1, 128, 128, dtype=torch.float64, requires_grad=True)
    scores = d(x)
    scores[0, 0, 7, 7].backward()
    rows, columns = torch.nonzero(x.grad[0, 0], as_tuple=True)
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (70, 70)
