"""Frechet distance and Inception Score of one stream of pictures that is read once."""

import warnings

import torch
from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from ganrun.metrics.drawing import counting_device, place
from ganrun.metrics.extractors import Extractor
from ganrun.metrics.frechet import Features, FrechetDistance
from ganrun.metrics.statistics import Statistics

IS_SPLITS = 10  # Salimans et al. 2016


def inception_score(num_logits: int, splits: int = IS_SPLITS) -> InceptionScore:
    """torchmetrics' Inception Score on logits [N, K]."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Metric `InceptionScore` will save all extracted features")
        return InceptionScore(Features(num_logits), splits=splits, normalize=False)


def never_zero(logits: Tensor) -> Tensor:
    """Logits of the same probabilities, save that those below e^-80 are e^-80: [B, K].

    A class that all samples give probability 0 in float32 would make the Inception Score nan (0 log 0/0); a collapsed
    generator gets there.
    """
    return (logits - logits.amax(1, keepdim=True)).clamp(min=-80)


class FeatureScores:
    """Scores of generated pictures by one extractor against statistics of the real ones."""

    def __init__(self, extractor: Extractor, real: Statistics, device: torch.device):
        self.extractor, self.device = extractor, device
        self.distance = FrechetDistance(extractor.num_features).to(counting_device(device))
        self.score = inception_score(extractor.num_logits).to(device)
        if place()[0] == 0:
            self.distance.load_real(real.total, real.outer, real.count)

    def update(self, images: Tensor) -> Tensor:
        """Count pictures, uint8 [B, C, H, W]; their logits [B, K]."""
        features, logits = self.extractor(images.to(self.device))
        self.distance.update(features.to(self.distance.device), real=False)
        self.score.update(never_zero(logits))
        return logits

    def frechet_distance(self) -> float:
        return self.distance.compute().item()

    def inception_score(self) -> float:
        """The mean over the splits. Shuffles with torch's global stream, the same in every process."""
        return self.score.compute()[0].item()
