"""Sums over the features of the real examples, measured once and kept on disk."""

import json
import logging
import math
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ganrun.folders import cache_dir
from ganrun.metrics.extractors import Extractor
from ganrun.metrics.frechet import FrechetDistance

log = logging.getLogger(__name__)


@dataclass
class Statistics:
    """What a Frechet distance needs to know of the real examples; float64, count int64.

    total: sum of the features, [d].   outer: sum of their outer products, [d, d].   count: of the examples.
    floor: the distance between two random halves, nan for fewer than four examples.
    """

    total: Tensor
    outer: Tensor
    count: Tensor
    floor: Tensor


def measure(images: Iterable[Tensor], count: int, extractor: Extractor, device: torch.device) -> Statistics:
    """Statistics of `count` pictures that come in batches, uint8 [n, C, H, W]."""
    in_first = torch.randperm(count, generator=torch.Generator().manual_seed(0)) % 2 == 0
    halves = FrechetDistance(extractor.num_features, sync_on_compute=False)
    done, told = 0, time.monotonic()
    for batch in images:
        features = extractor(batch.to(device))[0].cpu()
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
    )


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
        shapes = [found.total.shape, found.outer.shape, found.count.shape, found.floor.shape]
        if shapes != [(num_features,), (num_features, num_features), (), ()]:
            raise ValueError(f"shapes {shapes}")
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
