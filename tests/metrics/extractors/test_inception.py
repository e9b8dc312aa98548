import pytest
import torch
from helpers import inception_oracle
from helpers.weights import convolutions, random_inception
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ganrun.files import conf_dir
from ganrun.metrics.extractors.base import InceptionExtractor
from ganrun.metrics.extractors.inception import InceptionV3, average_pool, max_pool


@pytest.fixture(scope="module")
def network():
    return InceptionV3()


def test_keys_and_shapes_are_those_of_the_public_file(network):
    expected = {key: tuple(value.shape) for key, value in random_inception().items()}
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == expected


def test_there_are_94_convolutions_and_23_850_960_weights(network):
    assert len(list(convolutions())) == 94
    # torchvision states 27,161,264 for inception_v3; less its auxiliary classifier (3,326,696), with 8 more classes
    assert sum(w.numel() for w in network.parameters()) == 27_161_264 - 3_326_696 + 8 * 2049


def test_average_pooling_counts_no_padding():
    x = torch.rand(2, 3, 5, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(average_pool(x), inception_oracle.mean_of_neighbours(x), atol=1e-6)
    assert torch.allclose(average_pool(torch.ones(1, 1, 3, 3)), torch.ones(1, 1, 3, 3))


def test_max_pooling_takes_the_largest_neighbour():
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 9.0, 6.0], [7.0, 8.0, -5.0]]).view(1, 1, 3, 3)
    assert max_pool(x).flatten().tolist() == [9.0] * 9
    assert max_pool(-x)[0, 0, 0].tolist() == [-1.0, -1.0, -2.0]


def graph_input(images):
    """The graph's input from uint8 images, float64: TensorFlow 1's resize as two matrices, then (x - 128) / 128."""
    down, across = (tf1_matrix(old) for old in images.shape[2:])
    return (down @ images.double() @ across.T - 128) / 128


def tf1_matrix(old, new=299):
    """Row i interpolates between the two pixels around i * old / new: [new, old]."""
    matrix = torch.zeros(new, old, dtype=torch.float64)
    for i in range(new):
        low, rest = divmod(i * old, new)
        matrix[i, low] += 1 - rest / new
        matrix[i, min(low + 1, old - 1)] += rest / new
    return matrix


@pytest.mark.slow
def test_a_given_weight_file_yields_the_features_and_logits_of_an_independent_implementation(inception_file):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", ["metrics=inception", f"metrics.weights={inception_file}"])
    extractor = instantiate(cfg.metrics).extractor
    images = torch.randint(0, 256, (16, 3, 40, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    state = {key: value.double() for key, value in random_inception().items()}
    features, logits = extractor(images)
    expected_features, expected_logits = inception_oracle.inception(state, graph_input(images))
    assert features.shape == (16, 2048)
    assert logits.shape == (16, 1008)
    assert torch.allclose(features.double(), expected_features, rtol=1e-4, atol=1e-4 * expected_features.std().item())
    assert torch.allclose(logits.double(), expected_logits, rtol=1e-4, atol=1e-4 * expected_logits.std().item())


def test_grey_images_become_three_equal_channels_between_minus_one_and_one():
    x = InceptionExtractor().fit(torch.tensor([0.0, 255.0]).view(1, 1, 1, 2))
    assert x.shape == (1, 3, 299, 299)
    assert (x.min().item(), x.max().item()) == (-1.0, 127 / 128)
