"""The Inception Score, fed with logits."""

import warnings

from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from ganrun.metrics.scores.frechet import IdentityFeatures

SPLITS = 10  # Salimans et al. 2016


def inception_score(num_logits: int, splits: int = SPLITS, **options) -> InceptionScore:
    """torchmetrics' Inception Score on logits [N, K]."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
        return InceptionScore(IdentityFeatures(num_logits), splits=splits, normalize=False, **options)


def clamp_logits(logits: Tensor) -> Tensor:
    """Logits of the same probabilities, save that those below e^-80 are e^-80: [B, K].

    A class that all samples give probability 0 in float32 would make the Inception Score nan (0 log 0/0); a collapsed
    generator gets there.
    """
    return (logits - logits.amax(1, keepdim=True)).clamp(min=-80)
