import numpy as np
import pytest
import torch
from helpers.pretrained import random_images, resize_by_pillow
from PIL import Image
from torch.nn.functional import interpolate

from ganrun.metrics.extractors.base import InceptionExtractor
from ganrun.metrics.extractors.resize import (
    PREPROCESSING,
    crop_square,
    resize_antialiased,
    resize_clean,
    resize_pillow,
    resize_tf1,
    resize_torch,
    standardize,
    to_grey,
)


def by_tensorflow(i, old, new):
    """Position of pixel i of `new` among `old` pixels in TensorFlow 1's resize_bilinear."""
    return i * (old / new)


def by_centres(i, old, new):
    """The same with half-pixel centres."""
    return min(max((i + 0.5) * old / new - 0.5, 0), old - 1)


def slow_bilinear(image, size, position):
    """Resize pixel by pixel: [H, W] -> [size, size]."""
    height, width = image.shape
    result = torch.zeros(size, size)
    for i in range(size):
        for j in range(size):
            y, x = position(i, height, size), position(j, width, size)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            above = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
            below = image[bottom, left] * (1 - x + left) + image[bottom, right] * (x - left)
            result[i, j] = above * (1 - y + top) + below * (y - top)
    return result


@pytest.mark.parametrize(("height", "width", "size"), [(4, 4, 9), (5, 3, 8), (9, 9, 4), (7, 7, 7), (1, 1, 3)])
def test_tf1_resize_follows_tensorflows_definition(height, width, size):
    image = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0)) * 255
    result = resize_tf1(image, size)[0, 0]
    assert torch.allclose(result, slow_bilinear(image[0, 0], size, by_tensorflow), atol=1e-4)


def test_tf1_resize_has_no_half_pixel_offset():
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert resize_tf1(ramp, 8)[0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]


def test_grey_is_bt601_luminance_and_leaves_grey_alone():
    x = torch.tensor([255.0, 0.0, 100.0]).view(1, 3, 1, 1)
    assert to_grey(x).item() == pytest.approx(0.299 * 255 + 0.114 * 100, rel=1e-6)
    assert torch.allclose(to_grey(torch.full((1, 3, 2, 2), 80.0)), torch.tensor(80.0))


def test_halving_with_antialias_keeps_the_mean_and_equal_sizes_are_left_alone():
    x = torch.rand(2, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    assert resize_antialiased(x, 28).mean().item() == pytest.approx(x.mean().item(), abs=1e-3)
    assert resize_antialiased(x, 56) is x


@pytest.mark.parametrize(("height", "width", "size"), [(4, 4, 9), (5, 3, 8), (9, 9, 4)])
def test_pytorch_fids_resize_has_half_pixel_centres_and_does_not_smooth(height, width, size):
    image = torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0)) * 255
    assert torch.allclose(resize_torch(image, size)[0, 0], slow_bilinear(image[0, 0], size, by_centres), atol=1e-3)


@pytest.mark.parametrize(("side", "size"), [(8, 29), (64, 29), (29, 29)])
def test_clean_fids_resize_is_pillows_bicubic_in_floats_clamped(side, size):
    image = (torch.rand(side, side, generator=torch.Generator().manual_seed(0)) * 255).round()
    by_pillow = Image.fromarray(image.numpy()).resize((size, size), Image.Resampling.BICUBIC)
    result = resize_clean(image[None, None], size)[0, 0]
    assert np.abs(result.numpy() - np.asarray(by_pillow).clip(0, 255)).max() < 1e-2


def test_the_input_by_name_torch_is_that_of_pytorch_fid():
    """pytorch-fid: ToTensor (x / 255), F.interpolate, then 2 x - 1."""
    images = torch.randint(0, 256, (2, 3, 24, 40), generator=torch.Generator().manual_seed(0)).float()
    by_pytorch_fid = 2 * interpolate(images / 255, size=(299, 299), mode="bilinear", align_corners=False) - 1
    assert torch.allclose(InceptionExtractor(resize="torch").fit(images), by_pytorch_fid, atol=1e-6)
    low, high = InceptionExtractor(resize="torch").fit(torch.tensor([0.0, 255.0]).view(1, 1, 1, 2)).aminmax()
    assert (low.item(), high.item()) == pytest.approx((-1, 1), abs=1e-6)


@pytest.mark.parametrize("size", [(24, 40), (299, 299), (400, 320)])
def test_the_input_by_name_clean_is_that_of_clean_fid(size):
    """clean-fid: Pillow's bicubic of each channel in mode F, clipped, then (x - 128) / 128."""
    images = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0)).float()
    channels = [Image.fromarray(channel.numpy()).resize((299, 299), Image.Resampling.BICUBIC) for channel in images[0]]
    by_clean_fid = (torch.from_numpy(np.stack([np.asarray(image).clip(0, 255) for image in channels])) - 128) / 128
    assert torch.allclose(InceptionExtractor(resize="clean").fit(images)[0], by_clean_fid, atol=1e-4)


def test_the_protocols_words_of_the_preprocessings_are_pinned():
    """A change of the numbers needs other words, or old scores and cached statistics count as comparable."""
    words = {name: InceptionExtractor(resize=name).resize for name in PREPROCESSING}
    assert words == {
        "tf1": "tf1: TensorFlow 1 bilinear, as the FID papers and torch-fidelity, to 299x299",
        "torch": "torch: half-pixel bilinear, then x / 127.5 - 1, as pytorch-fid, to 299x299",
        "clean": "clean: antialiased bicubic, as clean-fid, to 299x299",
    }
    assert words["torch"] != "torch: half-pixel bilinear, as pytorch-fid, to 299x299"  # (x - 128) / 128, until 0.2


@pytest.mark.parametrize(("height", "width"), [(28, 28), (64, 64), (40, 24), (24, 40), (9, 300), (250, 230)])
def test_the_8_bit_resize_is_pillows_but_for_single_roundings(height, width):
    images = random_images(2, 3, height, width)
    result = resize_pillow(images.float(), 224)
    expected = np.stack([resize_by_pillow(image, 224).transpose(2, 0, 1) for image in images])
    difference = np.abs(result.numpy() - expected)
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01
    assert torch.equal(result, result.round())


@pytest.mark.parametrize(("height", "width", "rows", "columns"), [(5, 3, [1, 4], [0, 3]), (2, 7, [0, 2], [2, 4])])
def test_the_square_in_the_middle_is_cropped(height, width, rows, columns):
    x = torch.arange(height * width).view(1, 1, height, width)
    assert torch.equal(crop_square(x), x[..., slice(*rows), slice(*columns)])


def test_standardized_channels_have_their_own_mean_and_deviation():
    x = torch.tensor([0.0, 255.0, 51.0]).view(1, 3, 1, 1)
    result = standardize(x, (0.5, 0.5, 0.1), (0.5, 0.25, 0.1))
    assert result.flatten().tolist() == pytest.approx([-1, 2, 1])
