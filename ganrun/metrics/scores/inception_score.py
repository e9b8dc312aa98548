"""The Inception Score, computed from logits. Salimans et al. 2016."""

import warnings

from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score
from ganrun.metrics.scores.frechet import IdentityFeatures

SPLITS = 10  # Salimans et al. 2016


def inception_score(num_logits: int, splits: int = SPLITS, **options) -> InceptionScore:
    """Return torchmetrics' Inception Score on logits [N, K] instead of images. It draws from torch's global stream."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
        return InceptionScore(IdentityFeatures(num_logits), splits=splits, normalize=False, **options)


def clamp_logits(logits: Tensor) -> Tensor:
    """Return logits [B, K] of the same probabilities, except that those below e^-80 become e^-80.

    A class whose float32 probability is 0 for all samples would make the Inception Score NaN (0 log 0/0); that happens
    to collapsed generators.
    """
    return (logits - logits.amax(1, keepdim=True)).clamp(min=-80)


@score(
    "is",
    better={"is": "higher", "is_deviation": ""},
    needs=("logits", "batches"),
    has_baseline=True,
    note="{is_splits} splits",
    settings=lambda samples: {"is_splits": SPLITS},
)
def inception_score_of_samples(inputs: ScoreInputs) -> tuple[float, ...]:
    """Mean and standard deviation over the splits."""
    # torchmetrics gathers the processes' logits batch by batch, and the random splits depend on the order.
    logits = inputs.logits[inputs.batches.argsort(stable=True)]
    metric = inception_score(logits.shape[1], sync_on_compute=False).to(logits.device)
    metric.update(clamp_logits(logits))
    mean, deviation = metric.compute()
    return mean.item(), deviation.item()
