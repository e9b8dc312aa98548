"""The extractor that a run's scores use."""

from ganrun.config import build
from ganrun.metrics.extractors.base import Extractor
from ganrun.training.inference import TrainedModel


def extractor_of(trained: TrainedModel) -> Extractor | None:
    """Return the extractor of the run's scores; None if they have none."""
    return getattr(build.instantiate_optional(trained.config.metrics), "extractor", None)
