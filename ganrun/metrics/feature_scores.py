"""Computes several declared scores in one pass over the generated images."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from ganrun.errors import UserError
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import float64_device, rank_and_world
from ganrun.metrics.score_inputs import ScoreInputs, Statistics
from ganrun.metrics.scores import NEEDS, Score, find_score
from ganrun.metrics.scores.frechet import FrechetDistance


class FeatureBuffer(Metric):
    """Collects rows, such as features, of all processes."""

    rows: list[Tensor]

    def __init__(self, limit: int | None = None, **options):
        """limit: number of rows that each process keeps (None: all)."""
        super().__init__(**options)
        self.limit = limit
        self.add_state("rows", [], dist_reduce_fx="cat")

    def update(self, rows: Tensor) -> None:
        """rows: [n, ...]. Raises UserError if the image size differs from earlier rows."""
        if self.rows and self.rows[0].shape[1:] != rows.shape[1:]:
            sizes = " and ".join(str([*x.shape[1:]]) for x in (self.rows[0], rows))
            raise UserError(f"metrics.scores or metrics.final needs images of one size, got {sizes}.")
        room = len(rows) if self.limit is None else self.limit - sum(map(len, self.rows))
        if room > 0:
            self.rows.append(rows[:room])

    def compute(self) -> Tensor:
        """All rows, [M, ...]."""
        return dim_zero_cat(self.rows)


class FeatureScores:
    """Scores of generated images by one extractor, relative to statistics of the real images."""

    def __init__(
        self,
        extractor: Extractor,
        real: Statistics,
        device: torch.device,
        scores: Sequence[Score | str],
        references: Mapping[str, Callable[[], Iterable[Tensor]]] = MappingProxyType({}),
    ):
        """scores: declared scores or their names.

        references: functions that return batches of real images and of their labels, under images and image_labels.
        """
        self.extractor, self.real, self.device, self.references = extractor, real, device, references
        self.scores = [*map(find_score, scores)]
        rank, world = rank_and_world()
        limits: dict[str, int] = dict.fromkeys(("features", "images", "image_labels"), -(-len(real.features) // world))
        needed = {need for score in self.scores for need in score.needs}
        self.needs_moments = "moments" in needed
        self.buffers = {  # in the same order in all processes, which exchange them one by one
            need: FeatureBuffer(limits.get(need)).to(device) for need in NEEDS if need in needed - {"moments"}
        }
        self.moments = FrechetDistance(extractor.num_features).to(float64_device(device))
        self.batches = 0
        if rank == 0:
            self.moments.load_real(real.total, real.outer, real.count)

    def update(self, images: Tensor, y: Tensor | None = None) -> None:
        """Add images, uint8 [B, C, H, W], and the requested classes, int64 [B]."""
        features, logits = self.extractor(images.to(self.device))
        if self.needs_moments:
            self.moments.update(features.to(self.moments.device), real=False)
        rows = {"features": features, "all_features": features, "logits": logits, "labels": y, "images": images}
        rows["image_labels"] = y
        rows["batches"] = torch.full((len(images),), self.batches)
        for need, buffer in self.buffers.items():
            buffer.update(rows[need].to(self.device))
        self.batches += 1

    def compute(self) -> dict[str, float]:
        """The numbers by name, such as fd. May draw from torch's global stream, alike in every process."""
        real = replace(self.real, features=self.real.features.to(self.device), labels=self.real.labels.to(self.device))
        inputs = ScoreInputs(real, self.moments, **{need: buffer.compute() for need, buffer in self.buffers.items()})
        for need in self.buffers.keys() & self.references.keys():
            rows = FeatureBuffer(sync_on_compute=False)
            for part in self.references[need]():
                rows.update(part)
            setattr(inputs, f"real_{need}", rows.compute().to(self.device))
        return {number: value for score in self.scores for number, value in score.values(inputs).items()}
