"""The scores of one stream of pictures that is read once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.reference_stats import NEIGHBOURS, PRDC, Statistics
from ganrun.metrics.sampling import float64_device, rank_and_world
from ganrun.metrics.scores.fid_infinity import extrapolated_distance
from ganrun.metrics.scores.frechet import FrechetDistance
from ganrun.metrics.scores.inception_score import clamp_logits, inception_score
from ganrun.metrics.scores.intra_fid import intra_class_distance
from ganrun.metrics.scores.kid import kernel_distance
from ganrun.metrics.scores.prdc import prdc
from ganrun.seeds import generator

KINDS = {  # what may be asked for: the names of its numbers, before the extractor's suffix
    "fd": ("fd",),
    "diversity": ("diversity",),
    "is": ("is", "is_deviation"),
    "kid": ("kid", "kid_deviation"),
    "prdc": PRDC,
    "intra": ("intra_fd",),
    "fd_infinity": ("fd_infinity",),
}


class FeatureBuffer(Metric):
    """Rows, such as features, of the first pictures, of all processes."""

    def __init__(self, most: int | None = None):
        """most: how many each process keeps (None: all)."""
        super().__init__()
        self.most = most
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, rows: Tensor) -> None:
        room = len(rows) if self.most is None else self.most - sum(map(len, self.rows))
        if room > 0:
            self.rows.append(rows[:room])

    def compute(self) -> Tensor:
        """[M, ...]."""
        return dim_zero_cat(self.rows)


class FeatureScores:
    """Scores of generated pictures by one extractor against statistics of the real ones.

    kinds: of KINDS. Kernel distance, precision and the like are of at most as many samples as real features were kept,
    and nan for too few; distances within classes are of all samples, against the real features that were kept.
    """

    def __init__(self, extractor: Extractor, real: Statistics, device: torch.device, kinds: Sequence[str]):
        self.extractor, self.real, self.device, self.kinds = extractor, real, device, kinds
        self.distance = FrechetDistance(extractor.num_features).to(float64_device(device))
        self.score = inception_score(extractor.num_logits).to(device)
        self.kept = FeatureBuffer(-(-len(real.features) // rank_and_world()[1])).to(device)
        self.asked = {"features": FeatureBuffer().to(device), "labels": FeatureBuffer().to(device)}
        if rank_and_world()[0] == 0:
            self.distance.load_real(real.total, real.outer, real.count)

    def update(self, images: Tensor, y: Tensor | None = None) -> Tensor:
        """Count pictures, uint8 [B, C, H, W], and the classes asked for, int64 [B]; the pictures' logits [B, K]."""
        features, logits = self.extractor(images.to(self.device))
        self.distance.update(features.to(self.distance.device), real=False)
        if "is" in self.kinds:
            self.score.update(clamp_logits(logits))
        if {"kid", "prdc", "fd_infinity"} & {*self.kinds}:
            self.kept.update(features)
        if "intra" in self.kinds:
            self.asked["features"].update(features)
            self.asked["labels"].update(y.to(features.device))
        return logits

    def compute(self) -> dict[str, float]:
        """The numbers by their names. Draws from torch's global stream, the same in every process."""
        found = {}
        for kind in self.kinds:
            numbers = getattr(self, f"_{kind}")()
            found |= dict(zip(number_names([kind], self.extractor), numbers, strict=True))
        return found

    def _fd(self) -> tuple[float]:
        return (self.distance.compute().item(),)

    def _diversity(self) -> tuple[float]:
        return (self.distance.diversity().item(),)

    def _is(self) -> tuple[float, float]:
        """Mean and deviation over the splits."""
        mean, deviation = self.score.compute()
        return mean.item(), deviation.item()

    def _kid(self) -> tuple[float, float]:
        fake = self.kept.compute()
        return kernel_distance(self.real.features.to(fake.device), fake)

    def _prdc(self) -> tuple[float, ...]:
        fake = self.kept.compute()
        if min(len(fake), len(self.real.radii)) <= NEIGHBOURS:
            return (math.nan,) * len(PRDC)
        found = prdc(self.real.features.to(fake.device), fake, real_radii=self.real.radii)
        return tuple(found[name] for name in PRDC)

    def _intra(self) -> tuple[float]:
        fake, y = self.asked["features"].compute(), self.asked["labels"].compute()
        real, labels = self.real.features.to(fake.device), self.real.labels.to(fake.device)
        return (intra_class_distance(real, labels, fake, y) if len(labels) else math.nan,)

    def _fd_infinity(self) -> tuple[float]:
        fake = self.kept.compute()
        return (extrapolated_distance(fake, self.real, generator(0)) if len(fake) >= 4 else math.nan,)


def number_names(kinds: Sequence[str], extractor: Extractor) -> list[str]:
    """Of the numbers: fid, is, kid, intra_fid ... of Inception; fd_lenet, kid_lenet ... of others."""
    return [extractor.named(name) for kind in kinds for name in KINDS[kind]]
