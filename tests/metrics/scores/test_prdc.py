import pytest
import torch
from helpers.metric_fakes import float_rows
from torch.overrides import TorchFunctionMode

from ganrun.errors import UserError
from ganrun.metrics.scores.prdc import knn_radii, prdc


def naive(real, fake, k):
    """The definitions, example by example, with all distances in float64."""
    real, fake = real.double(), fake.double()

    def distance(x, y):
        return (x - y).square().sum().sqrt().item()

    def kth(x):
        return [sorted(distance(a, b) for j, b in enumerate(x) if j != i)[k - 1] for i, a in enumerate(x)]

    real_radii, fake_radii = kth(real), kth(fake)
    d = [[distance(x, y) for y in fake] for x in real]
    n, m = range(len(real)), range(len(fake))
    return {
        "precision": sum(any(d[i][j] < real_radii[i] for i in n) for j in m) / len(m),
        "recall": sum(any(d[i][j] < fake_radii[j] for j in m) for i in n) / len(n),
        "density": sum(d[i][j] < real_radii[i] for i in n for j in m) / (k * len(m)),
        "coverage": sum(min(d[i]) < real_radii[i] for i in n) / len(n),
    }


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m", "d"), [(30, 30, 2), (41, 23, 8), (20, 37, 64)])
@pytest.mark.parametrize("block", [7, 1024])
def test_all_four_equal_naive_loops(n, m, d, k, block):
    real, fake = float_rows(n, d, 1), float_rows(m, d, 2, scale=0.8) + 0.2
    assert prdc(real, fake, k, block) == pytest.approx(naive(real, fake, k), abs=1e-12)


@pytest.mark.parametrize("block", [3, 10, 64])
def test_radii_do_not_count_the_example_itself(block):
    x = torch.tensor([[0.0], [1.0], [3.0], [3.0], [7.0]])
    assert knn_radii(x, 1, block).tolist() == [1, 1, 0, 0, 4]
    assert knn_radii(x, 2, block).tolist() == [3, 2, 2, 2, 4]


def test_near_duplicates_far_from_the_origin_keep_their_radii():
    x = torch.tensor([[1000.0, 1000.0]]) + torch.tensor([[0.0, 0.0], [2**-10, 0.0], [0.0, 2**-9], [50.0, 50.0]])
    assert knn_radii(x, 1)[:3].tolist() == pytest.approx([2**-10, 2**-10, 2**-9], rel=1e-3)


def test_the_real_examples_themselves_have_the_full_score():
    real = float_rows(500, 32, 0) + 3
    assert prdc(real, real[torch.randperm(500, generator=torch.Generator().manual_seed(1))], block=128) == {
        "precision": 1,
        "recall": 1,
        "density": 1,
        "coverage": 1,
    }


def test_clouds_far_apart_have_nothing_in_common():
    assert set(prdc(float_rows(50, 4, 0), float_rows(50, 4, 1) + 100).values()) == {0}


def test_a_lost_mode_costs_recall_and_coverage_but_no_precision():
    real = float_rows(400, 4, 0)
    real[200:] += 50
    result = prdc(real, float_rows(400, 4, 1))
    assert result["precision"] > 0.9
    assert result["recall"] < 0.55
    assert result["coverage"] < 0.55


def test_samples_beside_the_real_ones_cost_precision_and_density_but_no_recall():
    real, fake = float_rows(400, 4, 0), float_rows(800, 4, 1)
    fake[400:] += 50
    result = prdc(real, fake)
    assert result["recall"] > 0.9
    assert result["precision"] < 0.55
    assert result["density"] < 0.6


def test_cached_radii_change_nothing():
    real, fake = float_rows(90, 6, 0), float_rows(70, 6, 1)
    assert prdc(real, fake, 3, real_radii=knn_radii(real, 3)) == prdc(real, fake, 3)


def test_too_few_examples_are_refused():
    with pytest.raises(UserError, match="5 samples are too few"):
        prdc(float_rows(50, 2, 0), float_rows(5, 2, 1), k=5)


class LargestTensor(TorchFunctionMode):
    """Records the bytes of the largest tensor that any operation returns."""

    largest = 0

    def __torch_function__(self, operation, types, args=(), kwargs=None):
        given = operation(*args, **(kwargs or {}))
        for tensor in given if isinstance(given, (tuple, list)) else [given]:
            if isinstance(tensor, torch.Tensor):
                self.largest = max(self.largest, tensor.numel() * tensor.element_size())
        return given


def test_no_tensor_is_larger_than_a_block_of_distances():
    real, fake = float_rows(1200, 16, 0), float_rows(1000, 16, 1)
    with LargestTensor() as tensors:
        prdc(real, fake, block=128)
    assert tensors.largest == 128 * 128 * 8
