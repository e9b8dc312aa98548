"""Sums over the features of the real examples, measured once and kept on disk."""

import json
import logging
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor
from torchmetrics.image.inception import InceptionScore

from ganrun.folders import cache_dir
from ganrun.metrics.drawing import apart
from ganrun.metrics.extractors import Extractor
from ganrun.metrics.frechet import FrechetDistance
from ganrun.metrics.inception_score import inception_score, never_zero
from ganrun.metrics.kid import kernel_distance
from ganrun.metrics.prdc import prdc, radii
from ganrun.seeds import generator

log = logging.getLogger(__name__)
KEPT = 10_000  # features
NEIGHBOURS = 5  # Naeem et al. 2020
PRDC = ("precision", "recall", "density", "coverage")
FLOORS = ("kid", "kid_deviation", *PRDC)


@dataclass
class Statistics:
    """What a Frechet distance needs to know of the real examples; float64, count int64.

    total: sum of the features, [d].   outer: sum of their outer products, [d, d].   count: of the examples.
    floor: the distance between two random halves, nan for fewer than four examples.
    inception_score: of the examples.   features: of some of them, drawn once and for all, float32 [m, d].
    radii: of their balls, `prdc.radii`, float64 [m].   floors: FLOORS between two halves of them, nan for few.
    """

    total: Tensor
    outer: Tensor
    count: Tensor
    floor: Tensor
    inception_score: Tensor = field(default_factory=lambda: torch.tensor(math.nan))
    features: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    radii: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    floors: Tensor = field(default_factory=lambda: torch.full((len(FLOORS),), math.nan, dtype=torch.float64))


def measure(images: Iterable[Tensor], count: int, extractor: Extractor, device: torch.device) -> Statistics:
    """Statistics of `count` pictures that come in batches, uint8 [n, C, H, W]."""
    is_kept = torch.zeros(count, dtype=torch.bool)
    is_kept[torch.randperm(count, generator=generator(1))[:KEPT]] = True
    score, kept = inception_score(extractor.num_logits, sync_on_compute=False), []
    in_first = torch.randperm(count, generator=torch.Generator().manual_seed(0)) % 2 == 0
    halves = FrechetDistance(extractor.num_features, sync_on_compute=False)
    done, told = 0, time.monotonic()
    for batch in images:
        features, logits = (x.cpu() for x in extractor(batch.to(device)))
        score.update(never_zero(logits))
        kept.append(features[is_kept[done : done + len(batch)]])
        first = in_first[done : done + len(batch)]
        halves.update(features[first], real=True)
        halves.update(features[~first], real=False)
        done += len(batch)
        if time.monotonic() - told > 20:
            told = time.monotonic()
            log.info("%d of %d real pictures measured", done, count)
    return Statistics(
        total=halves.real_features_sum + halves.fake_features_sum,
        outer=halves.real_features_cov_sum + halves.fake_features_cov_sum,
        count=halves.real_features_num_samples + halves.fake_features_num_samples,
        floor=halves.compute() if count >= 4 else torch.tensor(math.nan, dtype=torch.float64),
        **of_features(torch.cat(kept)),
        inception_score=shuffled(score),
    )


def shuffled(score: InceptionScore) -> Tensor:
    """The score, whose shuffle leaves no trace in torch's global stream."""
    with apart(0):
        return score.compute()[0]


def of_features(features: Tensor) -> dict[str, Tensor]:
    """What is known of the kept features [m, d] alone: their balls; the scores of one random half against the other."""
    if len(features) // 2 <= NEIGHBOURS:
        return {"features": features}
    first, second = features[torch.randperm(len(features), generator=generator(2))].chunk(2)
    with apart(0):
        distance = kernel_distance(first, second)
        found = prdc(first, second, NEIGHBOURS)
    numbers = [*distance, *(found[name] for name in PRDC)]
    return {
        "features": features,
        "radii": radii(features, NEIGHBOURS),
        "floors": torch.tensor(numbers, dtype=torch.float64),
    }


def statistics_file(name: str, identity: dict) -> Path:
    """Where the statistics lie that `identity` (plain types: data, weights, counts ...) determines."""
    digest = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    return cache_dir() / "statistics" / f"{name}-{digest}.safetensors"


def read(path: Path, num_features: int) -> Statistics | None:
    """The statistics in a file; None when there is no file, or a damaged one."""
    if not path.is_file():
        return None
    try:
        found = Statistics(**load_file(path))
        shapes = [found.total.shape, found.outer.shape, found.count.shape, found.floor.shape, found.floors.shape]
        if shapes != [(num_features,), (num_features, num_features), (), (), (len(FLOORS),)]:
            raise ValueError(f"shapes {shapes}")
        if found.features.shape != (min(int(found.count), KEPT), num_features):
            raise ValueError(f"features {found.features.shape}")
    except Exception as error:  # safetensors, OSError, TypeError for other keys: whatever it is, measuring mends it
        log.info("%s is damaged (%s): measured anew", path, error)
        return None
    return found


def write(path: Path, statistics: Statistics) -> None:
    """Write all or nothing: several processes may write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(save(asdict(statistics)))
    beside.replace(path)
