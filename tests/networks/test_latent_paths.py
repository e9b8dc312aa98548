"""Ways between latents, against rotations in a plane."""

import math

import pytest
import torch

from ganrun import seeds
from ganrun.networks import latents
from ganrun.networks.codes import LatentCodes
from ganrun.networks.latent_paths import along_noise, along_sphere, straight

SHARES = torch.linspace(0, 1, 7, dtype=torch.float64)[:, None]


def pairs(n=5, dim=9, seed=0):
    """Two sets of latents [n, dim], float64."""
    drawn = torch.randn(2, n, dim, generator=seeds.generator(seed), dtype=torch.float64)
    return drawn[0], drawn[1]


def test_the_sphere_is_a_rotation_by_equal_angles():
    a, b = (torch.tensor([row], dtype=torch.float64).expand(7, -1) for row in ([2, 0, 0], [0, 2, 0]))
    expected = [[2 * math.cos(t * math.pi / 2), 2 * math.sin(t * math.pi / 2), 0] for t in SHARES[:, 0].tolist()]
    torch.testing.assert_close(along_sphere(a, b, SHARES), torch.tensor(expected, dtype=torch.float64))


def test_the_length_goes_straight_from_one_to_the_other():
    for a, b in zip(*pairs(), strict=True):
        lengths = along_sphere(a.expand(7, -1), b.expand(7, -1), SHARES).norm(dim=1)
        torch.testing.assert_close(lengths, a.norm() + SHARES[:, 0] * (b.norm() - a.norm()))


def test_the_length_stays_where_both_ends_have_it():
    a, b = (part / part.norm(dim=1, keepdim=True) for part in pairs())
    for share in SHARES:
        torch.testing.assert_close(along_sphere(a, b, share).norm(dim=1), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize("way", [straight, along_sphere])
def test_both_ends_are_reached(way):
    a, b = pairs()
    for share, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(way(a, b, torch.full((5, 1), share, dtype=torch.float64)), end)


@pytest.mark.parametrize("factor", [1, -1, 3])
def test_ends_in_one_line_are_joined_by_it(factor):
    a, share = pairs()[0], torch.full((5, 1), 0.25, dtype=torch.float64)
    torch.testing.assert_close(along_sphere(a, factor * a, share), straight(a, factor * a, share))


def test_the_zero_latent_is_joined_by_a_line():
    a, share = pairs()[0], torch.full((5, 1), 0.5, dtype=torch.float64)
    torch.testing.assert_close(along_sphere(a, torch.zeros_like(a), share), a / 2)


def test_gaussian_numbers_take_the_sphere_and_codes_the_line():
    codes, like = LatentCodes({"c1": 4, "c2": "uniform"}, 20), torch.zeros(1)
    z = torch.cat([codes.draw(64, like, seeds.generator(1)), latents.normal(64, 15, like, seeds.generator(2))], 1)
    a, b, share = z[:5], z[5:10], torch.full((5, 1), 0.3)
    path = along_noise(z)(a, b, share)
    torch.testing.assert_close(path[:, :5], straight(a, b, share)[:, :5])
    torch.testing.assert_close(path[:, 5:], along_sphere(a[:, 5:], b[:, 5:], share))


def test_uniform_noise_takes_the_line():
    z = latents.uniform(64, 8, torch.zeros(1), seeds.generator(0))
    share = torch.full((2, 1), 0.3)
    torch.testing.assert_close(along_noise(z)(z[:2], z[2:4], share), straight(z[:2], z[2:4], share))
