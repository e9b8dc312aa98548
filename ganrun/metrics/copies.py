"""Whether a model gives training pictures back."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ganrun.data.order import seeded
from ganrun.metrics.drawing import apart, generated, seed_of_scores
from ganrun.metrics.extractors import Extractor
from ganrun.metrics.neighbours import copied, nearest, neighbours_picture
from ganrun.pictures import to_uint8

MOST = 10_000  # training pictures that are compared by their features, drawn once and for all
BATCH = 500
NEIGHBOURS = 5  # in the picture


@dataclass
class Copies:
    """scores: shares of copies by pixels and by an extractor's features; floors: of pictures held out of training.

    picture: samples, a row each, beside their nearest training pictures: uint8 [3, H, W].
    """

    scores: dict[str, float]
    floors: dict[str, float]
    picture: Tensor


def look_for(model, data, extractor: Extractor, samples: int, seed: int = 0) -> Copies:
    """Compares `samples` samples with all training pictures by pixels, and with at most MOST by features."""
    with apart(seed_of_scores(seed)):
        x = torch.cat([to_uint8(part).cpu() for part, _ in generated(model, data, samples, BATCH, seed)])
    splits = data.contents.splits
    train, held_out = splits["train"]["x"], splits["test"]["x"][:samples] if "test" in splits else None
    some = train[torch.randperm(len(train), generator=seeded("copies"))[:MOST].sort().values]
    seen = features(extractor, some, model.device)
    scores = copied(x, train) | named(copied(features(extractor, x, model.device), seen), extractor)
    floors = {}
    if held_out is not None:
        floors = copied(held_out, train)
        floors |= named(copied(features(extractor, held_out, model.device), seen), extractor)
    picture = neighbours_picture(x, train, nearest(x[:8], train, NEIGHBOURS)[1])
    return Copies(with_val(scores), with_val(floors), picture)


def features(extractor: Extractor, images: Tensor, device: torch.device) -> Tensor:
    """Of uint8 pictures [N, C, H, W]: [N, d] on the CPU."""
    return torch.cat([extractor(part.to(device))[0].cpu() for part in images.split(BATCH)])


def named(scores: dict[str, float], extractor: Extractor) -> dict[str, float]:
    return {f"{name}_{extractor.name}": value for name, value in scores.items()}


def with_val(scores: dict[str, float]) -> dict[str, float]:
    return {f"val/{name}": value for name, value in scores.items()}
