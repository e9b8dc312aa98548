"""Scores of models that reconstruct images: those that have `reconstruct`."""

import torch
from torchmetrics import MeanAbsoluteError, MeanSquaredError, Metric
from torchmetrics.aggregation import MeanMetric
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from ganrun.data.images import to_uint8
from ganrun.metrics import sampling
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.scores import Score
from ganrun.metrics.scores.reconstruction import KEPT, OF_RECONSTRUCTIONS, SSIM

RANGE = 2.0  # of images, which are in [-1, 1]
SSIM_WINDOW = 11  # pixels; smaller images have no SSIM


def reconstruction_scores(data, extractor: Extractor | None) -> list[Score]:
    """Return the scores that reconstructions of these data can have. extractor: None without a classifier."""
    scores = [score for score in OF_RECONSTRUCTIONS if score is not SSIM or min(data.shape[1:]) >= SSIM_WINDOW]
    knows_classes = extractor is not None and "y" in data.gives and extractor.classes == list(data.classes)
    return [*scores, KEPT] if knows_classes else scores


def score_reconstructions(model, data, extractor: Extractor | None, samples: int, batch_size: int) -> dict[str, float]:
    """Return {number: value} for the first `samples` test images, or all of them if there are fewer."""
    names = [score.name for score in reconstruction_scores(data, extractor)]
    rank, world = sampling.rank_and_world()
    count = sampling.require_samples(min(samples, data.test_count("x")), world)
    known: dict[str, Metric] = {
        "reconstruction_l1": MeanAbsoluteError(),
        "reconstruction_mse": MeanSquaredError(),
        "psnr": PeakSignalNoiseRatio(data_range=RANGE),
        "ssim": StructuralSimilarityIndexMeasure(data_range=RANGE),
        "kept": MeanMetric(),
    }
    metrics = {name: known[name].to(model.device) for name in names}
    for index in torch.arange(rank, count, world).split(batch_size):
        x = data.test("x", index).to(model.device).float().contiguous()  # as torchmetrics needs them
        found = model.reconstruct(x).float().contiguous()
        for name in names:
            if name != KEPT.name:
                metrics[name].update(found, x)
        if KEPT.name in names and extractor is not None:
            seen = extractor(to_uint8(found))[1].argmax(1)
            metrics[KEPT.name].update((seen == data.test("y", index).to(seen.device)).float())
    return {name: metric.compute().item() for name, metric in metrics.items()}
