import math

import numpy as np
import pytest
import torch
from helpers.metric_fakes import Noise, Pictures

from ganrun.data.digits import load_shipped_digits
from ganrun.data.images import to_float
from ganrun.data.module import DataModule
from ganrun.data.stacked import StackedDigits
from ganrun.errors import UserError
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.metrics.stacked import Stacked, StackedCoverage, classify_modes, mode_probabilities, perfect_scores

UNIFORM = torch.full((1000,), 1e-3, dtype=torch.float64)


@pytest.fixture(scope="module")
def faces():
    """One image of each digit that is classified correctly: uint8 [10, 28, 28]."""
    x, y = torch.from_numpy(load_shipped_digits()["x_test"]), torch.from_numpy(load_shipped_digits()["y_test"])
    is_right = LeNetExtractor()(x[:, None])[1].argmax(1) == y
    return torch.stack([x[is_right & (y == digit)][0] for digit in range(10)])


class Stacker:
    """A model that generates the given modes in turn, as stacks of known digits."""

    needs, device = ("x",), torch.device("cpu")

    def __init__(self, faces, modes):
        self.faces, self.modes, self.count = faces, torch.as_tensor(modes), 0

    def sample(self, n, y=None, generator=None):
        modes = self.modes[(self.count + torch.arange(n)) % len(self.modes)]
        self.count += n
        return to_float(self.faces[torch.stack([modes // 100, modes // 10 % 10, modes % 10], dim=1)])


def digits(triples=20_000, size=28):
    settings = {"classes": 1000, "reference": ["train"], "flip": False, "device": "auto", "batch_size": 4, "seed": 0}
    gives, shape = ["x", "y", "picture"], [3, size, size]
    return DataModule(
        StackedDigits, name="stacked_digits", gives=gives, shape=shape, size=size, triples=triples, **settings
    )


def suite(samples=2000, batch_size=500):
    return Stacked(LeNetExtractor, "val/reverse_kl", "min", samples, batch_size)


def cover(modes, distribution=UNIFORM):
    coverage = StackedCoverage(distribution)
    for part in torch.as_tensor(modes).split(7):
        coverage.update(part)
    return {name: value.item() for name, value in coverage.compute().items()}


@pytest.mark.parametrize("k", [1, 7, 400])
def test_a_generator_of_exactly_k_modes_counts_as_k(faces, k):
    modes = torch.randperm(1000, generator=torch.Generator().manual_seed(0))[:k]
    result = suite(samples=800).score(Stacker(faces, modes), digits())
    assert result["val/modes"] == k
    assert result["val/reverse_kl"] == pytest.approx(math.log(1000 / k), abs=0.05)


def test_modes_are_read_from_the_channels_in_their_order(faces):
    stack = faces[torch.tensor([[4, 0, 7], [9, 9, 1]])]
    assert classify_modes(LeNetExtractor(), stack).tolist() == [407, 991]


@pytest.mark.parametrize("k", [1, 10, 1000])
def test_equal_shares_of_k_modes_have_the_kl_log_of_1000_over_k(k):
    assert cover(torch.arange(k).repeat(3)) == {"modes": k, "reverse_kl": pytest.approx(math.log(1000 / k))}


def test_reverse_kl_is_the_definitions_sum_in_its_direction():
    rng = np.random.default_rng(0)
    distribution, modes = rng.dirichlet(np.ones(1000)), rng.integers(0, 300, 5000)
    shares = np.bincount(modes, minlength=1000) / 5000
    expected = sum(p * math.log(p / q) for p, q in zip(shares, distribution, strict=True) if p)
    assert cover(modes, torch.from_numpy(distribution))["reverse_kl"] == pytest.approx(expected)


def test_a_mode_that_the_data_lack_has_an_infinite_kl():
    distribution = torch.zeros(1000, dtype=torch.float64)
    distribution[:2] = 0.5
    assert cover([0, 1], distribution)["reverse_kl"] == 0
    assert cover([0, 2], distribution)["reverse_kl"] == math.inf


def test_mode_probabilities_are_the_product_of_the_channels_shares():
    y = torch.tensor([123, 123, 423, 153])
    distribution = mode_probabilities(y).view(10, 10, 10)
    assert distribution.sum() == pytest.approx(1)
    assert distribution[1, 2, 3] == pytest.approx(0.75 * 0.75)
    assert distribution[4, 5, 3] == pytest.approx(0.25 * 0.25)
    assert (distribution > 0).sum() == 4


def test_perfect_scores_follow_sampling_theory():
    result = perfect_scores(
        UNIFORM, 26_000
    )  # sum over cells of a chi-squared's expansion: (K - 1) / 2N, and a little more
    assert result["modes"] == 1000
    assert result["reverse_kl"] == pytest.approx(999 / 52_000, rel=0.2)
    assert perfect_scores(UNIFORM, 5000)["modes"] == pytest.approx(1000 * (1 - math.exp(-5)), abs=15)


def test_real_stacks_score_near_the_perfect_scores():
    data = digits()

    class Real(Noise):
        count = 0

        def sample(self, n, y=None, generator=None):
            self.count += n
            return data.test("x", torch.arange(self.count - n, self.count))

    result, at_best = suite(5000).score(Real(), data), suite(5000).protocol(data)
    assert result["val/modes"] == pytest.approx(at_best["floor_modes"], abs=10)
    assert result["val/reverse_kl"] == pytest.approx(at_best["floor"], rel=0.2)


def test_scores_depend_only_on_the_seed_and_keep_the_global_stream():
    model, data, state = Noise((3, 28, 28)), digits(), torch.get_rng_state()
    scores = [suite(200, batch_size=50).score(model, data, seed=seed) for seed in (0, 0)]
    assert scores[0] == scores[1]
    assert torch.equal(torch.get_rng_state(), state)
    assert list(scores[0]) == suite().names(model, data)


@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_nan_or_inf_in_samples_makes_all_scores_nan(faces, broken):
    class Broken(Stacker):
        def sample(self, n, y=None, generator=None):
            x = super().sample(n)
            x[0, 0, 0, 0] = broken
            return x

    assert all(math.isnan(value) for value in suite(20).score(Broken(faces, [1]), digits(100)).values())


def test_larger_stacks_are_classified_too(faces):
    x = digits(100, size=32).test("x", 200)
    small = digits(100).test("x", 200)
    extractor = LeNetExtractor()
    agree = classify_modes(extractor, (x * 127.5 + 127.5).byte()) == classify_modes(
        extractor, (small * 127.5 + 127.5).byte()
    )
    assert agree.double().mean() > 0.9


def test_other_data_are_refused_with_the_data_sets_that_fit():
    with pytest.raises(UserError, match=r"data=fake has none. Use data=stacked_digits or data=stacked_mnist"):
        suite().prepare(Pictures())
    with pytest.raises(UserError, match="data=fake has none"):
        suite().prepare(Pictures(shape=(3, 28, 28)))


def test_the_protocol_states_classifier_count_direction_and_baseline():
    protocol = suite(300).protocol(digits())
    assert protocol["extractor"] == "lenet"
    assert protocol["weights"].startswith("sha256:")
    assert (protocol["samples"], protocol["modes"]) == (300, 1000)
    assert protocol["direction"] == "KL(generated || data)"
    assert 200 < protocol["floor_modes"] < 300
    assert suite(300).protocol(digits()) == protocol
