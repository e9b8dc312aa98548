"""The scores of one stream of pictures that is read once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from ganrun.metrics.drawing import counting_device, place
from ganrun.metrics.extractors import Extractor
from ganrun.metrics.frechet import FrechetDistance
from ganrun.metrics.inception_score import inception_score, never_zero
from ganrun.metrics.infinity import extrapolated_distance
from ganrun.metrics.kid import kernel_distance
from ganrun.metrics.prdc import prdc
from ganrun.metrics.statistics import NEIGHBOURS, PRDC, Statistics
from ganrun.seeds import generator

KINDS = {  # what may be asked for: the names of its numbers, before the extractor's suffix
    "fd": ("fd",),
    "is": ("is",),
    "kid": ("kid", "kid_deviation"),
    "prdc": PRDC,
    "fd_infinity": ("fd_infinity",),
}


class Kept(Metric):
    """Features of the first pictures, of all processes."""

    def __init__(self, most: int):
        """most: how many each process keeps."""
        super().__init__()
        self.most = most
        self.add_state("features", [], dist_reduce_fx="cat")

    def update(self, features: Tensor) -> None:
        room = self.most - sum(map(len, self.features))
        if room > 0:
            self.features.append(features[:room])

    def compute(self) -> Tensor:
        """[M, d]."""
        return dim_zero_cat(self.features)


class FeatureScores:
    """Scores of generated pictures by one extractor against statistics of the real ones.

    kinds: of KINDS. Kernel distance, precision and the like are of at most as many samples as real features were kept,
    and nan for too few.
    """

    def __init__(self, extractor: Extractor, real: Statistics, device: torch.device, kinds: Sequence[str]):
        self.extractor, self.real, self.device, self.kinds = extractor, real, device, kinds
        self.distance = FrechetDistance(extractor.num_features).to(counting_device(device))
        self.score = inception_score(extractor.num_logits).to(device)
        self.kept = Kept(-(-len(real.features) // place()[1])).to(device)
        if place()[0] == 0:
            self.distance.load_real(real.total, real.outer, real.count)

    def update(self, images: Tensor) -> Tensor:
        """Count pictures, uint8 [B, C, H, W]; their logits [B, K]."""
        features, logits = self.extractor(images.to(self.device))
        self.distance.update(features.to(self.distance.device), real=False)
        if "is" in self.kinds:
            self.score.update(never_zero(logits))
        if {"kid", "prdc", "fd_infinity"} & {*self.kinds}:
            self.kept.update(features)
        return logits

    def compute(self) -> dict[str, float]:
        """The numbers by their names. Draws from torch's global stream, the same in every process."""
        found = {}
        for kind in self.kinds:
            numbers = getattr(self, f"_{kind}")()
            found |= dict(zip(names_of([kind], self.extractor), numbers, strict=True))
        return found

    def _fd(self) -> tuple[float]:
        return (self.distance.compute().item(),)

    def _is(self) -> tuple[float]:
        """The mean over the splits."""
        return (self.score.compute()[0].item(),)

    def _kid(self) -> tuple[float, float]:
        fake = self.kept.compute()
        return kernel_distance(self.real.features.to(fake.device), fake)

    def _prdc(self) -> tuple[float, ...]:
        fake = self.kept.compute()
        if min(len(fake), len(self.real.radii)) <= NEIGHBOURS:
            return (math.nan,) * len(PRDC)
        found = prdc(self.real.features.to(fake.device), fake, real_radii=self.real.radii)
        return tuple(found[name] for name in PRDC)

    def _fd_infinity(self) -> tuple[float]:
        fake = self.kept.compute()
        return (extrapolated_distance(fake, self.real, generator(0)) if len(fake) >= 4 else math.nan,)


def names_of(kinds: Sequence[str], extractor: Extractor) -> list[str]:
    """Of the numbers: fid, is, kid, precision ... of Inception; fd_lenet, kid_lenet ... of others."""
    suffix = extractor.fd_name.removeprefix("fd") if extractor.fd_name != "fid" else ""
    plain = [name for kind in kinds for name in KINDS[kind]]
    return [f"{'fid' + name[2:] if name.startswith('fd') and not suffix else name}{suffix}" for name in plain]
