"""Copied training images are detected and fresh ones are not, on the shipped digits."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ganrun.data.images import to_float
from ganrun.files import conf_dir
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.scores.copies import find_copies


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, initialize_config_dir(str(conf_dir()), version_base="1.3"):
        patch.setenv("GANRUN_CACHE", str(tmp_path_factory.mktemp("cache")))
        data = instantiate(compose("train", ["data=digits"]).data, batch_size=4, seed=0)
        data.setup()
    return data


class Copier:
    """Samples random images of a split with added noise."""

    needs, device = ("x",), torch.device("cpu")

    def __init__(self, pictures, noise=0.0):
        self.pictures, self.noise = pictures, noise

    def sample(self, n, y=None, generator=None):
        x = to_float(self.pictures[torch.randint(len(self.pictures), (n,), generator=generator)])
        return x + self.noise * torch.randn(x.shape, generator=generator)


def copies_of(data, split, noise=0.0):
    return find_copies(Copier(data.contents.splits[split]["x"], noise), data, LeNetExtractor(), 200)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_copies_are_found_by_pixels_and_by_features(digits, noise):
    result = copies_of(digits, "train", noise)
    assert result.scores["val/near_copies"] > 0.9
    assert result.scores["val/near_copies_lenet"] > 0.8
    assert result.scores["val/copied_share"] > 0.95 > 0.5 > result.baselines["val/copied_share"]
    assert result.baselines["val/near_copies"] < 0.02


def test_held_out_images_are_no_copies(digits):
    result = copies_of(digits, "test")
    assert result.scores["val/near_copies"] < 0.02
    for name, value in result.scores.items():
        assert value == pytest.approx(result.baselines[name], abs=0.12)  # both of 200 pictures of the test split


@pytest.mark.parametrize("name", ["neighbours", "neighbours_lenet"])
def test_the_grids_show_copies_beside_their_originals(digits, name):
    picture = copies_of(digits, "train").pictures[name]
    assert picture.shape == (3, 8 * 30 + 2, 6 * 30 + 2)
    assert torch.equal(picture[:, :, 2:30], picture[:, :, 32:60])
