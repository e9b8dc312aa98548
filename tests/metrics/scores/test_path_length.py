"""The perceptual path length: closed forms, and automatic differentiation as an oracle."""

import math
from types import SimpleNamespace

import pytest
import torch
from helpers.model_training import SMALL, job_of
from torch.autograd.functional import jvp

from ganrun.errors import UserError
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.scores.path_length import full_float32, path_length, trimmed_mean
from ganrun.networks.latent_paths import along_noise
from ganrun.seeds import generator

WITHOUT_CONDITIONS = SimpleNamespace(conditions=lambda *_: {})


class Linear:
    """G(z) = z W: the change along a line is W (b - a), the same everywhere on it."""

    needs, takes, device = ("x",), (), torch.device("cpu")

    def __init__(self, matrix, drawn):
        self.matrix, self.drawn, self.some_weight = matrix, iter(drawn), matrix

    def noise(self, n, generator=None):
        return next(self.drawn)[:n]

    def decode(self, z):
        return z @ self.matrix


FEATURES = SimpleNamespace(embed=lambda x: 3 * x)
UNIFORM = torch.zeros(64, 2)  # numbers that stay within [-1, 1]: the way is a line


def test_of_a_linear_generator_it_is_the_squared_length_of_the_line():
    matrix = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]])
    a, b = torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.5]])
    found = path_length(Linear(matrix, [UNIFORM, a, b]), WITHOUT_CONDITIONS, FEATURES, 1)
    assert found == pytest.approx(9 * (1 + 0.25 + 1.5**2), rel=1e-3)


def test_on_the_sphere_it_is_the_squared_angle():
    """Two unit latents at a right angle, G the identity: the arc has the length pi / 2."""
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = path_length(Linear(torch.eye(2), [10 * torch.ones(64, 2), a, b]), WITHOUT_CONDITIONS, FEATURES, 1)
    assert found == pytest.approx(9 * (math.pi / 2) ** 2, rel=1e-3)


@pytest.mark.parametrize("name", ["gan", "dcgan", "cgan"])
def test_it_is_the_squared_derivative_along_the_path(name):
    """The limit of small steps, by automatic differentiation of networks in float64, path by path."""
    job, extractor, count = job_of(*SMALL[name]), LeNetExtractor(), 40
    model = job.model.eval()
    with torch.no_grad():
        for weights in model.generator.parameters():
            weights.mul_(5)  # an untrained generator is so flat that float32 rounds its steps away
    found = path_length(model, job.data, extractor, count, seed=5)
    stream = generator(5)
    way = along_noise(model.noise(64, stream).double())
    start, end = (model.noise(count, stream).double() for _ in range(2))
    share = torch.rand(count, 1, generator=stream, dtype=torch.float64)
    y = job.data.conditions(count, ["y"])["y"]
    net, reader = model.net("generator").double().eval(), extractor.network.double()
    steps = []
    for i in range(count):

        def features(t, i=i):
            z = way(start[i : i + 1], end[i : i + 1], t)
            x = net(z, y[i : i + 1]) if name == "cgan" else net(z)
            return reader(x)[0]

        change = jvp(features, share[i : i + 1], torch.ones(1, 1, dtype=torch.float64))[1]
        steps.append(change.square().sum())
    assert found == pytest.approx(trimmed_mean(torch.stack(steps)).item(), rel=0.02)


def test_the_lowest_and_the_highest_percent_are_left_out():
    values = torch.arange(1000.0)
    values[0], values[999] = -1e9, 1e9
    assert trimmed_mean(values) == values[9:991].mean()
    assert trimmed_mean(torch.tensor([2.0, 4.0])) == 3


def test_weights_of_16_bits_are_refused():
    model = Linear(torch.eye(2, dtype=torch.bfloat16), [UNIFORM])
    with pytest.raises(UserError, match="needs weights of 32 bits"):
        path_length(model, WITHOUT_CONDITIONS, FEATURES, 1)


def test_the_precision_of_a_gpu_is_restored(monkeypatch):
    before = torch.get_float32_matmul_precision()
    with full_float32(torch.device("cuda")):
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cudnn.allow_tf32
    assert torch.get_float32_matmul_precision() == before
    assert torch.backends.cudnn.allow_tf32
