"""The search for latents of images, against least squares and on images that a generator has made."""

import pytest
import torch
from helpers.model_training import SMALL
from torch import nn

import ganrun
from ganrun.training import inversion
from ganrun.training.inversion import invert, search


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dcgan") / "run"
    wide = ["init.std=0.2", "model.z_dim=8", "kimg=0.008", "metrics=none", "logger=none", f"folder={folder}"]
    ganrun.train([*SMALL["dcgan"], *wide])
    return ganrun.load(folder)


def distances(trained, x, z):
    """Mean absolute differences of x and the examples of z: [n]."""
    return (trained.sample(len(z), z=z) - x).abs().flatten(1).mean(1)


def test_samples_are_found_again(trained):
    x = trained.sample(3, seed=5)
    start = invert(trained, x, updates=0, conditions={})
    found = invert(trained, x, updates=150, conditions={})
    assert (distances(trained, x, found) < 0.2 * distances(trained, x, start)).all()


def test_without_updates_the_closest_candidate_is_taken(trained):
    x = trained.sample(2, seed=5)
    candidates = trained.latents(inversion.CANDIDATES)
    squares = (trained.sample(len(candidates), z=candidates)[None] - x[:, None]).square().flatten(2).mean(2)
    assert torch.equal(invert(trained, x, updates=0, conditions={}), candidates[squares.argmin(1)])


def test_the_same_seed_finds_the_same_latents(trained):
    x = trained.sample(2, seed=5)
    assert torch.equal(invert(trained, x, 10, {}), invert(trained, x, 10, {}))


class Linear:
    """A model whose decoder is a matrix."""

    decoder_name = "decoder"

    def __init__(self):
        torch.manual_seed(0)
        self.matrix = nn.Linear(3, 12)

    def net(self, name):
        return self.matrix


def test_a_linear_decoder_has_the_latents_of_least_squares():
    linear = Linear()
    x, starts = torch.randn(4, 12), torch.randn(4, 2, 3)
    expected = torch.linalg.lstsq(linear.matrix.weight, (x - linear.matrix.bias).T).solution.T
    torch.testing.assert_close(search(linear, starts, x, [], 1000, None, 0), expected, atol=1e-3, rtol=0)


def test_features_count_with_their_weight():
    """Features of the first six numbers alone with a great weight: the latents of least squares of these."""
    linear = Linear()
    x, starts = torch.randn(1, 12), torch.randn(1, 2, 3)
    matrix, target = linear.matrix.weight[:6], (x - linear.matrix.bias)[:, :6]
    expected = torch.linalg.lstsq(matrix, target.T).solution.T
    found = search(linear, starts, x, [], 2000, lambda x: x[:, :6], 1e4)
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=0)


def test_the_best_of_the_way_is_kept_where_a_step_goes_too_far():
    linear = Linear()
    best = torch.randn(1, 1, 3)
    x = linear.matrix(best[0]).detach()  # the start is the best there is: the first step must leave it
    found = search(linear, best, x, [], 3, None, 0)
    assert torch.equal(found, best[0])
