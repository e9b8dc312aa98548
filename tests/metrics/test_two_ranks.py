"""Two processes that score half of the pictures each come to one process's numbers."""

import pytest
import torch
from helpers.metric_fakes import Means, Pictures
from helpers.metric_ranks import of_two_ranks

from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.reference_stats import measure_statistics

CPU = torch.device("cpu")


def of_rank(rank, kind, real, images, ranks=2):
    scores = FeatureScores(Means(), real, CPU, [kind])
    for part in images[rank::ranks].split(8):
        scores.update(part)
    return scores.compute()[f"{kind}_means"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fd", "diversity"])
def test_two_processes_give_the_score_of_one(tmp_path, kind):
    real, images = (Pictures(61, seed=seed).arrays["x"] for seed in (0, 1))
    known = measure_statistics([real], 61, Means(), CPU)
    assert torch.linalg.matrix_rank(torch.cov(Means()(real)[0].double().T)) == 4
    expected = of_rank(0, kind, known, images, ranks=1)
    assert of_two_ranks(tmp_path, of_rank, kind, known, images) == pytest.approx([expected] * 2, rel=1e-9)
