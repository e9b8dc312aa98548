"""The extractor that a run's scores use."""

from torch import Tensor

from ganrun.config import build
from ganrun.metrics.extractors.base import Extractor
from ganrun.training.inference import TrainedModel
from ganrun.training.inversion import Features


def extractor_of(trained: TrainedModel) -> Extractor | None:
    """Return the extractor of the run's scores; None if they have none."""
    return getattr(build.instantiate_optional(trained.config.metrics), "extractor", None)


def differentiable_features(extractor: Extractor) -> Features:
    """Return a function from images [n, C, H, W] in [-1, 1] to their features, with gradients."""
    extractor.load()
    network = extractor.network
    assert network is not None

    def features(x: Tensor) -> Tensor:
        return network.to(x.device)(extractor.fit((x.float() + 1) * 127.5))[0]

    return features
