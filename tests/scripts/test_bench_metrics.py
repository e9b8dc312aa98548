"""The benchmark of the scores: how often each side sees the images, and that both compute the same numbers."""

from importlib import import_module
from pathlib import Path

import pytest
import torch

from ganrun.metrics.extractors.base import Extractor


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "scripts")
    return import_module("bench_metrics")


class Counted(Extractor):
    """Features and logits are a few pixels; counts the images."""

    name, num_features, num_logits, seen = "counted", 6, 3, 0

    def __call__(self, images):
        self.seen += len(images)
        pixels = images.flatten(1).float() / 255
        return pixels[:, :6], pixels[:, 6:9]


@pytest.fixture
def sides(bench, tmp_path):
    images = torch.randint(0, 256, (2, 14, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return bench.OnePass(Counted(), *images, tmp_path)


def test_the_order_alternates_and_the_warm_up_round_is_dropped(bench):
    order = []
    ours, theirs = (lambda name=name: order.append(name) or len(order) for name in ("ours", "theirs"))
    assert bench.by_turns(ours, theirs, 2) == [(4, 3), (5, 6)]
    assert order == ["ours", "theirs", "theirs", "ours", "ours", "theirs"]


def test_ours_sees_each_image_once_and_theirs_in_five_passes(sides):
    sides.ours()
    assert sides.extractor.seen == 2 * 14
    sides.theirs()
    assert sides.extractor.seen == (2 + 5) * 14


def test_both_sides_keep_the_same_state_and_a_difference_raises(sides):
    sides.ours()
    sides.theirs()
    sides.check()
    sides.fake = sides.fake + 1
    sides.theirs()
    with pytest.raises(AssertionError, match="not close"):
        sides.check()


def test_the_matrix_roots_of_both_sides_agree_and_are_computed_each_time(bench):
    (found,) = bench.matrix_root(40, rounds=2)
    assert (found["work"], len(found["ratios"])) == ("FID's compute, 40 features", 2)
    metric = bench.FrechetDistance(2, compute_with_cache=False)
    metric.update(torch.eye(2), real=True)
    metric.update(torch.eye(2), real=False)
    assert bench.time_compute(metric)[0] == bench.time_compute(metric)[0]
    assert metric._computed is None


@pytest.mark.slow
def test_the_random_inception_is_reproducible_and_keeps_the_scale(bench):
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    features, logits = bench.RandomInception()(images)
    assert torch.equal(features, bench.RandomInception()(images)[0])
    assert (features.shape, logits.shape) == ((2, 2048), (2, 1008))
    assert 0.01 < features.std() < 100


@pytest.mark.slow
def test_the_peak_is_that_of_the_new_process_and_not_of_this_one(bench):
    unused = torch.ones(400_000_000)  # 1.6 GB
    (found,) = bench.memory_of_prdc(300, 16)
    assert [*found] == ["work", "peak_gb", "seconds", "limit_gb"]
    assert 0.05 < found["peak_gb"] < 1 < unused.nbytes / 1e9
