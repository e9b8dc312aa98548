"""Whether a model reproduces training images: shares of near copies, by pixels and by features."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganrun.data.images import to_uint8
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import generate_batches, isolated_rng, scoring_seed
from ganrun.metrics.scores import PREFIX, Score, ScoreNote
from ganrun.metrics.scores.nearest import copy_shares, nearest_neighbours, plot_neighbours
from ganrun.seeds import named_generator

CLOSE = "as close to a training image as its nearest other one; {count:,} by {space}"
COPIED = Score("copied_share", better="lower", note=CLOSE)
NEAR = Score("near_copies", better="lower", note="within a third of that distance; {count:,} by {space}")
MAX_TRAINING_IMAGES = 10_000  # training images that are compared by features: a fixed random subset
BATCH = 500
NEIGHBOURS, PLOTTED_SAMPLES = 5, 8  # columns and rows of the grids


@dataclass
class CopyReport:
    """Shares of copies, by pixels and by features. baselines: those of held-out images, if there are any.

    pictures: {name: uint8 [3, H, W]}, samples, one per row, beside their nearest training images.
    """

    scores: dict[str, float] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    notes: dict[str, ScoreNote] = field(default_factory=dict)
    pictures: dict[str, Tensor] = field(default_factory=dict)


def find_copies(model, data, extractor: Extractor, samples: int, seed: int = 0) -> CopyReport:
    """Compare `samples` samples with all training images by pixels, and with up to MAX_TRAINING_IMAGES by features."""
    with isolated_rng(scoring_seed(seed)):
        x = torch.cat([to_uint8(part).cpu() for part, _ in generate_batches(model, data, samples, BATCH, seed)])
    splits = data.contents.splits
    train, held_out = splits["train"]["x"], splits["test"]["x"][:samples] if "test" in splits else None
    subset = train[torch.randperm(len(train), generator=named_generator("copies"))[:MAX_TRAINING_IMAGES].sort().values]

    def features(images: Tensor) -> Tensor:
        return torch.cat([extractor(part.to(model.device))[0].cpu() for part in images.split(BATCH)])

    report = CopyReport()
    spaces = (("pixels", "", train, lambda images: images), ("features", f"_{extractor.name}", subset, features))
    for space, suffix, images, embed in spaces:
        rows, among = embed(x), embed(images)
        shares, protocol = copy_shares(rows, among), {"count": len(images), "space": space}
        baselines = {} if held_out is None else copy_shares(embed(held_out), among)
        notes = COPIED.notes(protocol, len(x)) | NEAR.notes(protocol, len(x))
        report.scores |= {f"{PREFIX}{name}{suffix}": share for name, share in shares.items()}
        report.baselines |= {f"{PREFIX}{name}{suffix}": share for name, share in baselines.items()}
        report.notes |= {f"{PREFIX}{name}{suffix}": note for name, note in notes.items()}
        index = nearest_neighbours(rows[:PLOTTED_SAMPLES], among, NEIGHBOURS)[1]
        report.pictures[f"neighbours{suffix}"] = plot_neighbours(x, images, index)
    return report
