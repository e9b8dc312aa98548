"""What a score can read of the real and of the generated images."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganrun.metrics.scores.frechet import FrechetDistance

NO_ROWS, NO_LABELS, NO_RADII = torch.zeros(0, 0), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.float64)


@dataclass
class Statistics:
    """Statistics of the real images: float64 sums over all of them, and the features of a fixed random subset.

    total: sum of the features, [d].   outer: sum of their outer products, [d, d].   count: number of images, int64.
    baselines: what real images score, {number: value}; NaN where there are too few.
    features: of the subset, float32 [m, d].   labels: its classes, int64 [m], or [0] if there are none.
    radii: distance of each feature of the subset to its k-th nearest other one (`knn_radii`), float64 [m], or [0].
    """

    total: Tensor
    outer: Tensor
    count: Tensor
    baselines: dict[str, float] = field(default_factory=dict)
    features: Tensor = NO_ROWS
    labels: Tensor = NO_LABELS
    radii: Tensor = NO_RADII


@dataclass
class ScoreInputs:
    """What scores are computed from. A field that no score asks for in its `needs` is empty; `real` is always there.

    The extractor maps images to features [d] and logits [K]. N images are generated; kept are the first M of them, at
    most as many as real features are kept (m). Under DDP the rows of all processes follow one another.

    real: statistics of the real images.
    moments: sums over all features, real and generated: its `compute()` is the Frechet distance.
    features: float32 [M, d] of the kept images.   all_features: float32 [N, d].   logits: float32 [N, K].
    labels: int64 [N], the classes that the generator was asked for.   batches: int64 [N], number of the batch.
    images: the kept images, uint8 [M, C, H, W].   real_images: as many real ones as there are, at most m.
    image_labels, real_image_labels: classes of these images, int64; [0] for real ones without classes.
    """

    real: Statistics
    moments: FrechetDistance
    features: Tensor = NO_ROWS
    all_features: Tensor = NO_ROWS
    logits: Tensor = NO_ROWS
    labels: Tensor = NO_LABELS
    batches: Tensor = NO_LABELS
    images: Tensor = NO_ROWS
    real_images: Tensor = NO_ROWS
    image_labels: Tensor = NO_LABELS
    real_image_labels: Tensor = NO_LABELS
