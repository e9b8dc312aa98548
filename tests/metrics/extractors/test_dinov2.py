"""DINOv2's features against transformers' own forward pass, Pillow's resize and a slow resize of the positions."""

import math

import pytest
import torch
from helpers.pretrained import SmallDINOv2, pixels_by_pillow, random_images, write_small_dinov2
from torch.nn.functional import interpolate

from ganrun.metrics.extractors.dinov2 import DINOv2Extractor, resize_positions

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture(scope="module")
def weight_file(tmp_path_factory):
    return write_small_dinov2(tmp_path_factory.mktemp("dinov2"))


def cubic(t, a=-0.75):
    """Keys' kernel at distance t."""
    t = abs(t)
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


def slow_positions(positions, old, new):
    """Resize [1, 1 + old * old, d] to new x new patches, patch by patch; steps are old / (new + 0.1) patches wide."""
    grid, result = positions[0, 1:].double().view(old, old, -1), [positions[0, 0].double()]
    for i in range(new):
        for j in range(new):
            y, x = ((k + 0.5) * old / (new + 0.1) - 0.5 for k in (i, j))
            total = torch.zeros(grid.shape[-1], dtype=torch.float64)
            for row in range(math.floor(y) - 1, math.floor(y) + 3):
                for column in range(math.floor(x) - 1, math.floor(x) + 3):
                    near = grid[min(max(row, 0), old - 1), min(max(column, 0), old - 1)]
                    total += cubic(y - row) * cubic(x - column) * near
            result.append(total)
    return torch.stack(result)[None]


@pytest.mark.parametrize(("old", "new"), [(5, 2), (37, 16), (4, 4)])
def test_positions_are_resized_with_the_offset_of_dinov2s_code(old, new):
    positions = torch.randn(1, 1 + old**2, 3, generator=torch.Generator().manual_seed(0))
    expected = slow_positions(positions, old, new)
    assert torch.allclose(resize_positions(positions, old, new).double(), expected, atol=1e-4)
    grid = positions[:, 1:].view(1, old, old, 3).permute(0, 3, 1, 2)
    plain = interpolate(grid, (new, new), mode="bicubic").flatten(2)[0].T
    assert not torch.allclose(resize_positions(positions, old, new)[0, 1:], plain, atol=1e-3)


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 40, 24), (1, 28, 28), (3, 16, 20)])
def test_features_are_the_normalized_class_token_of_transformers_own_network(weight_file, channels, height, width):
    from transformers import Dinov2Model

    network = Dinov2Model.from_pretrained(weight_file.parent).eval()
    positions = slow_positions(network.embeddings.position_embeddings.detach(), 5, 2).float()
    network.embeddings.interpolate_pos_encoding = lambda *_: positions
    images = random_images(4, channels, height, width)
    pixels = torch.cat([pixels_by_pillow(image, 28, *IMAGENET) for image in images])
    with torch.no_grad():
        expected = network(pixels).last_hidden_state[:, 0]
    features, logits = SmallDINOv2(weight_file)(images)
    assert torch.allclose(features, expected, atol=5e-3)
    assert expected.std() > 0.1
    assert features.dtype == torch.float32
    assert logits.shape == (4, 0)


def test_the_architecture_is_that_of_the_published_file():
    """facebook/dinov2-large has 1,217,522,888 bytes: 439 float32 tensors and a header of 48,328 bytes."""
    with torch.device("meta"):
        network_class, config = DINOv2Extractor().describe_network()
        config.image_size = DINOv2Extractor.trained_size
        tensors = network_class(config).state_dict().values()
    assert sum(4 * x.numel() for x in tensors) == 1_217_522_888 - 48_328
    assert len(tensors) == 439


def test_scores_carry_the_name_of_the_extractor():
    assert [*map(DINOv2Extractor().named, ["fd", "recall"])] == ["fd_dinov2", "recall_dinov2"]
