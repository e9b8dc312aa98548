"""The Frechet distance within classes."""

import math

import torch
from torch import Tensor

from ganrun.metrics.scores.frechet import frechet_distance


def intra_class_distance(real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor) -> float:
    """The mean over the classes of the Frechet distance between the real and the generated examples of one class.

    real, fake: features [N, d] and [M, d].   labels: int64 [N] and [M]; the fakes' are the classes asked for.
    nan where a class of the real examples has fewer than two examples on one side. Miyato & Koyama 2018, section 4
    (there 5,000 samples a class; of fewer samples than features a class's distance is too large, as any other's).
    """
    classes = real_labels.unique().tolist()
    distances = [
        distance_of_features(real[real_labels == label], fake[fake_labels == label].to(real.device))
        for label in classes
    ]
    return sum(distances) / len(distances) if distances else math.nan


def distance_of_features(real: Tensor, fake: Tensor) -> float:
    """The Frechet distance of two sets of features [n, d] and [m, d]; nan when one has fewer than two.

    With S1 = A^T A and S2 = B^T B of centred and scaled rows A [n, d] and B [m, d], the trace of (S1 S2)^(1/2) is the
    sum of the singular values of A B^T: no d x d matrix where a class has fewer examples than features.
    """
    if min(len(real), len(fake)) < 2:
        return math.nan
    x, y = real.double(), fake.double()
    if min(len(x), len(y)) >= x.shape[1]:
        return frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()).item()
    a, b = ((rows - rows.mean(0)) / math.sqrt(len(rows) - 1) for rows in (x, y))
    trace_of_root = torch.linalg.svdvals(a @ b.T).sum()
    return ((x.mean(0) - y.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * trace_of_root).item()
