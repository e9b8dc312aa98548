"""Whether a model gives training pictures back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganrun.data.images import to_uint8
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import generate_batches, isolated_rng, scoring_seed
from ganrun.metrics.scores.nearest import copy_shares, nearest_neighbours, plot_neighbours
from ganrun.seeds import named_generator

MAX_TRAINING_IMAGES = 10_000  # training pictures that are compared by their features, drawn once and for all
BATCH = 500
NEIGHBOURS = 5  # in the pictures
PLOTTED_SAMPLES = 8  # samples in the pictures


@dataclass
class CopyReport:
    """scores: shares of copies by pixels and by an extractor's features; baselines: of pictures held out of training.

    pictures: samples, a row each, beside their nearest training pictures by pixels and by features: uint8 [3, H, W].
    """

    scores: dict[str, float]
    baselines: dict[str, float]
    pictures: dict[str, Tensor]


def find_copies(model, data, extractor: Extractor, samples: int, seed: int = 0) -> CopyReport:
    """Compares `samples` samples with all training pictures by pixels, and with at most MOST by features."""
    with isolated_rng(scoring_seed(seed)):
        x = torch.cat([to_uint8(part).cpu() for part, _ in generate_batches(model, data, samples, BATCH, seed)])
    splits = data.contents.splits
    train, held_out = splits["train"]["x"], splits["test"]["x"][:samples] if "test" in splits else None
    some = train[torch.randperm(len(train), generator=named_generator("copies"))[:MAX_TRAINING_IMAGES].sort().values]
    seen = extract_features(extractor, some, model.device)
    own = extract_features(extractor, x, model.device)
    scores = copy_shares(x, train) | with_extractor(copy_shares(own, seen), extractor)
    baselines = {}
    if held_out is not None:
        baselines = copy_shares(held_out, train)
        baselines |= with_extractor(copy_shares(extract_features(extractor, held_out, model.device), seen), extractor)
    pictures = {
        "neighbours": plot_neighbours(x, train, nearest_neighbours(x[:PLOTTED_SAMPLES], train, NEIGHBOURS)[1]),
        f"neighbours_{extractor.name}": plot_neighbours(
            x, some, nearest_neighbours(own[:PLOTTED_SAMPLES], seen, NEIGHBOURS)[1]
        ),
    }
    return CopyReport(with_prefix(scores), with_prefix(baselines), pictures)


def score_notes(data, extractor: Extractor, samples: int) -> dict[str, tuple[int, str]]:
    """Of how many samples each score is, and how it comes about, in a few words."""
    some = min(MAX_TRAINING_IMAGES, data.train_count)
    words = {
        "copied_share": "as near to a training picture as its nearest",
        "near_copies": "within a third of that",
    }
    found = {f"val/{name}": (samples, f"{word}; {data.train_count:,} by pixels") for name, word in words.items()}
    return found | {
        f"val/{name}_{extractor.name}": (samples, f"{word}; {some:,} by features") for name, word in words.items()
    }


def extract_features(extractor: Extractor, images: Tensor, device: torch.device) -> Tensor:
    """Of uint8 pictures [N, C, H, W]: [N, d] on the CPU."""
    return torch.cat([extractor(part.to(device))[0].cpu() for part in images.split(BATCH)])


def with_extractor(scores: dict[str, float], extractor: Extractor) -> dict[str, float]:
    return {f"{name}_{extractor.name}": value for name, value in scores.items()}


def with_prefix(scores: dict[str, float]) -> dict[str, float]:
    return {f"val/{name}": value for name, value in scores.items()}
