"""The Frechet distance within classes (intra-FID). Miyato & Koyama 2018."""

import math

import torch
from torch import Tensor

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.frechet import drop_rounding, frechet_distance


@score(
    "intra",
    better={"intra_fd": "lower"},
    needs=("all_features", "labels"),
    has_baseline=True,
    note="mean over classes, against {kid_prdc_reference:,} real",
)
def intra_fid(inputs: ScoreInputs) -> float:
    real = inputs.real
    if not len(real.labels):
        return math.nan
    return intra_class_distance(real.features, real.labels, inputs.all_features, inputs.labels)


def intra_class_distance(real: Tensor, real_labels: Tensor, fake: Tensor, fake_labels: Tensor) -> float:
    """Mean over the classes of the Frechet distance between the real and the generated images of one class.

    real, fake: features [N, d] and [M, d].   labels: int64 [N] and [M]; of fakes, the requested classes.
    NaN if a class of the real images has fewer than two images on either side. Miyato & Koyama 2018, section 4, with
    5,000 samples per class; with fewer samples than features the distance is biased upwards, as for the plain FID.
    """
    classes = real_labels.unique().tolist()
    pairs = [(real[real_labels == label], fake[fake_labels == label].to(real.device)) for label in classes]
    distances = [distance_of_features(*pair) for pair in pairs]
    return sum(distances) / len(distances) if distances else math.nan


def distance_of_features(real: Tensor, fake: Tensor) -> float:
    """The Frechet distance of two sets of features [n, d] and [m, d]; NaN if one has fewer than two rows.

    With S1 = A^T A and S2 = B^T B for centred and scaled rows A [n, d] and B [m, d], the trace of (S1 S2)^(1/2) is the
    sum of the singular values of A B^T. That avoids d x d matrices when a class has fewer images than features.
    """
    if min(len(real), len(fake)) < 2:
        return math.nan
    x, y = real.double(), fake.double()
    if min(len(x), len(y)) >= x.shape[1]:
        return frechet_distance(x.mean(0), x.T.cov(), y.mean(0), y.T.cov()).item()
    a, b = ((rows - rows.mean(0)) / math.sqrt(len(rows) - 1) for rows in (x, y))
    trace_of_root = torch.linalg.svdvals(a @ b.T).sum()
    traces = a.square().sum() + b.square().sum()
    distance = (x.mean(0) - y.mean(0)).square().sum() + traces - 2 * trace_of_root
    return drop_rounding(distance, x.mean(0), y.mean(0), traces).item()
