"""The standard error of the Frechet distance: by how much it differs from one set of samples to another."""

import math

import torch
from torch import Tensor

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.frechet import cholesky_factor, moments


@score("fd_error", better="", needs=("moments", "features"), note="infinitesimal jackknife over the samples")
def fd_error(inputs: ScoreInputs) -> float:
    with inputs.moments.sync_context(should_sync=inputs.moments._to_sync):
        real, fake = (moments(*sums) for sums in inputs.moments.sums())
        count = int(inputs.moments.fake_features_num_samples)
    return standard_error(inputs.features.to(fake[0]), count, real, fake)


def standard_error(features: Tensor, count: int, real: tuple[Tensor, Tensor], fake: tuple[Tensor, Tensor]) -> float:
    """Return the standard error of the Frechet distance of `count` generated samples to a fixed set of real ones.

    features: of the samples, or of the first M of them, [M, d].   real, fake: mean [d] and covariance [d, d].
    Efron 1982, chapter 6: to first order the distance is a mean of the samples' influences, whose deviation is that of
    the kept samples. Not in it: the bias of a finite set, which sets of the same size share.
    """
    return float(influences(features, *real, *fake).std()) / math.sqrt(count)


def influences(features: Tensor, mean1: Tensor, s1: Tensor, mean2: Tensor, s2: Tensor) -> Tensor:
    """Return how the distance to (mean1, s1) changes if (mean2, s2) gets a bit more of each x, up to a constant: [M].

    The gradient of the distance is 2 (mean2 - mean1) with respect to mean2 and, with s1 = L L^T, the matrix
    1 - L (L^T s2 L)^(-1/2) L^T with respect to s2, to which x adds (x - mean2)(x - mean2)^T. Directions in which the
    samples do not vary are left out.
    """
    factor = cholesky_factor(s1)
    values, vectors = torch.linalg.eigh(factor.T @ s2 @ factor)
    is_varied = values > values[-1] * len(values) * torch.finfo(values.dtype).eps
    root = factor @ vectors[:, is_varied] * values[is_varied] ** -0.25
    x = features - mean2
    return 2 * x @ (mean2 - mean1) + x.square().sum(1) - (x @ root).square().sum(1)
