import math
import warnings

import pytest
import torch
from helpers.metric_fakes import normal_rows

from ganrun.metrics.scores.inception_score import clamp_logits, inception_score

pytestmark = pytest.mark.usefixtures("seeded_stream")


def score_logits(logits, **options):
    """Mean and deviation over the splits, fed in batches of 7."""
    metric = inception_score(logits.shape[1], **options)
    for part in logits.split(7):
        metric.update(clamp_logits(part))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="std")  # of one split
        return [value.item() for value in metric.compute()]


def by_formula(logits):
    """exp E KL(p(y|x) || p(y)) of logits [n, K], term by term: Salimans et al. 2016, section 4."""
    exps = [[math.exp(value) for value in row] for row in logits.tolist()]
    p = [[value / sum(row) for value in row] for row in exps]
    marginal = [sum(column) / len(p) for column in zip(*p, strict=True)]
    kl = [sum(v * math.log(v / m) for v, m in zip(row, marginal, strict=True)) for row in p]
    return math.exp(sum(kl) / len(kl))


@pytest.mark.parametrize(("n", "k"), [(2, 2), (30, 10), (50, 101)])
def test_one_split_is_the_formula(n, k):
    logits = normal_rows(n, k, 0, scale=2.0)
    assert score_logits(logits, splits=1)[0] == pytest.approx(by_formula(logits), rel=1e-9)


def test_ten_splits_have_mean_and_deviation_of_the_formula_over_shuffled_tenths():
    logits = normal_rows(60, 8, 0, scale=2.0)
    score = score_logits(logits)
    torch.manual_seed(3)
    each = torch.tensor([by_formula(part) for part in logits[torch.randperm(60)].split(6)], dtype=torch.float64)
    assert score == pytest.approx([each.mean().item(), each.std().item()], rel=1e-9)


@pytest.mark.parametrize("k", [1, 4, 10])
def test_confident_predictions_spread_equally_over_k_classes_score_k(k):
    logits = 1000 * torch.eye(10)[torch.arange(200) % k]
    assert score_logits(logits, splits=1)[0] == pytest.approx(k, rel=1e-5)


def test_uniform_predictions_score_one():
    assert score_logits(torch.zeros(40, 10)) == pytest.approx([1, 0], abs=1e-6)


def test_clamping_keeps_the_probabilities_and_none_is_zero():
    logits = torch.cat([normal_rows(20, 6, 0, scale=2.0), torch.tensor([[0.0, 500, -500, 0, 0, 0]])])
    assert torch.allclose(clamp_logits(logits).softmax(1), logits.softmax(1), rtol=1e-12, atol=1e-30)
    assert clamp_logits(logits).float().softmax(1).min() > 0
