"""DCGAN's networks at a new, non-square size against a slow computation in NumPy, pixel by pixel."""

import numpy as np
import pytest
import torch
from torch import nn

from ganrun.networks import dcgan

pytestmark = pytest.mark.usefixtures("fixed_seed")
SHAPE = (2, 24, 32)  # feature maps of 6x8, doubled twice


def with_random_statistics(network):
    """The network in double precision and evaluation mode, with norm layers that change their input."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight.data, layer.bias.data, layer.running_mean, layer.running_var):
                tensor.uniform_(0.5, 2)
    return network.double().eval()


def weights_of(layer):
    return [None if tensor is None else tensor.detach().numpy() for tensor in (layer.weight, layer.bias)]


def upsampled(x, layer, stride, margin):
    """A transposed convolution: each pixel of x [C, H, W] adds its multiple of the kernel to the larger image."""
    weight, bias = weights_of(layer)
    _, outputs, high, wide = weight.shape
    canvas = np.zeros((outputs, (x.shape[1] - 1) * stride + high, (x.shape[2] - 1) * stride + wide))
    for c, row, column in np.ndindex(x.shape):
        top, left = row * stride, column * stride
        canvas[:, top : top + high, left : left + wide] += x[c, row, column] * weight[c]
    canvas = canvas[:, margin : canvas.shape[1] - margin, margin : canvas.shape[2] - margin]
    return canvas if bias is None else canvas + bias[:, None, None]


def convolved(x, layer, stride, margin):
    """A convolution: each output pixel is the sum over its window of the image x [C, H, W] with a black margin."""
    weight, bias = weights_of(layer)
    outputs, _, high, wide = weight.shape
    x = np.pad(x, ((0, 0), (margin, margin), (margin, margin)))
    result = np.zeros((outputs, (x.shape[1] - high) // stride + 1, (x.shape[2] - wide) // stride + 1))
    for o, row, column in np.ndindex(result.shape):
        window = x[:, row * stride : row * stride + high, column * stride : column * stride + wide]
        result[o, row, column] = (weight[o] * window).sum()
    return result if bias is None else result + bias[:, None, None]


def normalized(x, layer):
    mean, variance = layer.running_mean.numpy(), layer.running_var.numpy()
    weight, bias = weights_of(layer)
    scale = weight / np.sqrt(variance + layer.eps)
    return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def test_the_generator_gives_the_images_of_the_slow_computation():
    g = with_random_statistics(dcgan.Generator(SHAPE, z_dim=3, width=2))
    z = torch.randn(2, 3, dtype=torch.double)
    first, norm, _, second, norm_2, _, last, _ = g.layers
    for latent, picture in zip(z.numpy(), g(z).detach().numpy(), strict=True):
        x = np.maximum(normalized(upsampled(latent[:, None, None], first, 1, 0), norm), 0)
        assert x.shape == (4, 6, 8)
        x = np.maximum(normalized(upsampled(x, second, 2, 1), norm_2), 0)
        assert np.abs(np.tanh(upsampled(x, last, 2, 1)) - picture).max() < 1e-12


def test_the_discriminator_gives_the_scores_of_the_slow_computation():
    d = with_random_statistics(dcgan.Discriminator(SHAPE, width=2))
    pictures = torch.rand(2, *SHAPE, dtype=torch.double) * 2 - 1
    first, _, second, norm, _ = d.features
    for x, score in zip(pictures.numpy(), d(pictures).tolist(), strict=True):
        features = leaky(normalized(convolved(leaky(convolved(x, first, 2, 1)), second, 2, 1), norm))
        assert features.shape == (4, 6, 8)
        assert convolved(features, d.score, 1, 0).item() == pytest.approx(score, abs=1e-12)
