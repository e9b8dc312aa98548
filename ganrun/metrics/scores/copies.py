"""Whether a model gives training pictures back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganrun.data.images import to_uint8
from ganrun.data.shuffle import seeded
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import apart, generated, seed_of_scores
from ganrun.metrics.scores.nearest import copied, nearest, neighbours_picture

MOST = 10_000  # training pictures that are compared by their features, drawn once and for all
BATCH = 500
NEIGHBOURS = 5  # in the pictures
SHOWN = 8  # samples in the pictures


@dataclass
class Copies:
    """scores: shares of copies by pixels and by an extractor's features; floors: of pictures held out of training.

    pictures: samples, a row each, beside their nearest training pictures by pixels and by features: uint8 [3, H, W].
    """

    scores: dict[str, float]
    floors: dict[str, float]
    pictures: dict[str, Tensor]


def look_for(model, data, extractor: Extractor, samples: int, seed: int = 0) -> Copies:
    """Compares `samples` samples with all training pictures by pixels, and with at most MOST by features."""
    with apart(seed_of_scores(seed)):
        x = torch.cat([to_uint8(part).cpu() for part, _ in generated(model, data, samples, BATCH, seed)])
    splits = data.contents.splits
    train, held_out = splits["train"]["x"], splits["test"]["x"][:samples] if "test" in splits else None
    some = train[torch.randperm(len(train), generator=seeded("copies"))[:MOST].sort().values]
    seen = features(extractor, some, model.device)
    own = features(extractor, x, model.device)
    scores = copied(x, train) | named(copied(own, seen), extractor)
    floors = {}
    if held_out is not None:
        floors = copied(held_out, train)
        floors |= named(copied(features(extractor, held_out, model.device), seen), extractor)
    pictures = {
        "neighbours": neighbours_picture(x, train, nearest(x[:SHOWN], train, NEIGHBOURS)[1]),
        f"neighbours_{extractor.name}": neighbours_picture(x, some, nearest(own[:SHOWN], seen, NEIGHBOURS)[1]),
    }
    return Copies(with_val(scores), with_val(floors), pictures)


def basis(data, extractor: Extractor, samples: int) -> dict[str, tuple[int, str]]:
    """Of how many samples each score is, and how it comes about, in a few words."""
    some = min(MOST, data.train_count)
    words = {
        "copied_share": "as near to a training picture as its nearest",
        "near_copies": "within a third of that",
    }
    found = {f"val/{name}": (samples, f"{word}; {data.train_count:,} by pixels") for name, word in words.items()}
    return found | {
        f"val/{name}_{extractor.name}": (samples, f"{word}; {some:,} by features") for name, word in words.items()
    }


def features(extractor: Extractor, images: Tensor, device: torch.device) -> Tensor:
    """Of uint8 pictures [N, C, H, W]: [N, d] on the CPU."""
    return torch.cat([extractor(part.to(device))[0].cpu() for part in images.split(BATCH)])


def named(scores: dict[str, float], extractor: Extractor) -> dict[str, float]:
    return {f"{name}_{extractor.name}": value for name, value in scores.items()}


def with_val(scores: dict[str, float]) -> dict[str, float]:
    return {f"val/{name}": value for name, value in scores.items()}
