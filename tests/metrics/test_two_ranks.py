"""Two processes that score half of the images each arrive at the scores of one process."""

from itertools import zip_longest

import pytest
import torch
from helpers.metric_fakes import Means, Pictures
from helpers.metric_ranks import of_two_ranks

from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.reference_stats import measure_statistics
from ganrun.metrics.sampling import isolated_rng

CPU = torch.device("cpu")


def of_rank(rank, name, real, images, ranks=2, batch_size=8):
    scores = FeatureScores(Means(), real, CPU, [name])
    for part in images[rank::ranks].split(batch_size):
        scores.update(part)
    with isolated_rng(0):
        return scores.compute()[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fd", "diversity"])
def test_two_processes_give_the_score_of_one(tmp_path, name):
    real, images = (Pictures(61, seed=seed).arrays["x"] for seed in (0, 1))
    known = measure_statistics([real], 61, Means(), CPU)
    assert torch.linalg.matrix_rank(torch.cov(Means()(real)[0].double().T)) == 4
    expected = of_rank(0, name, known, images, ranks=1)
    assert of_two_ranks(tmp_path, of_rank, name, known, images) == pytest.approx([expected] * 2, rel=1e-9)


@pytest.mark.slow
def test_the_inception_score_takes_the_processes_batches_in_turns(tmp_path):
    real, images = (Pictures(61, seed=seed).arrays["x"] for seed in (0, 1))
    known = measure_statistics([real], 61, Means(), CPU)
    batches = zip_longest(images[0::2].split(6), images[1::2].split(6), fillvalue=images[:0])  # 6 batches and 5
    expected = of_rank(0, "is", known, torch.cat([part for pair in batches for part in pair]), ranks=1)
    assert of_two_ranks(tmp_path, of_rank, "is", known, images, 2, 6) == [expected] * 2


@pytest.mark.slow
def test_the_kernel_distance_takes_the_kept_rows_of_one_process_after_those_of_the_other(tmp_path):
    real, images = (Pictures(61, seed=seed).arrays["x"] for seed in (0, 1))
    known = measure_statistics([real], 61, Means(), CPU)
    expected = of_rank(0, "kid", known, torch.cat([images[0::2], images[1::2]]), ranks=1)
    assert of_two_ranks(tmp_path, of_rank, "kid", known, images, 2, 6) == [expected] * 2  # 6 batches and 5
