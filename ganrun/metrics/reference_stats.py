"""Sums over the features of the real examples, measured once and kept on disk."""

import json
import logging
import math
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import isolated_rng
from ganrun.metrics.scores.frechet import FrechetDistance
from ganrun.metrics.scores.inception_score import clamp_logits, inception_score
from ganrun.metrics.scores.intra_fid import intra_class_distance
from ganrun.metrics.scores.kid import kernel_distance
from ganrun.metrics.scores.prdc import knn_radii, prdc
from ganrun.paths import cache_dir
from ganrun.seeds import generator

log = logging.getLogger(__name__)
KEPT_FEATURES = 10_000  # features
NEIGHBOURS = 5  # Naeem et al. 2020
PRDC = ("precision", "recall", "density", "coverage")
BASELINES = ("fd", "diversity", "is", "is_deviation", "kid", "kid_deviation", *PRDC, "intra_fd")


def unknown_baselines() -> Tensor:
    return torch.full((len(BASELINES),), math.nan, dtype=torch.float64)


@dataclass
class Statistics:
    """What scores need to know of the real examples; sums float64, count int64.

    total: sum of the features, [d].   outer: sum of their outer products, [d, d].   count: of the examples.
    floors: what real examples score, FLOORS, nan where there are too few: one random half against the other; the
    Inception Score of all.   features: of some of them, drawn once and for all, float32 [m, d].   labels: int64 [m],
    or [0] where there are none.   radii: of their balls, `prdc.radii`, float64 [m].
    """

    total: Tensor
    outer: Tensor
    count: Tensor
    floors: Tensor = field(default_factory=unknown_baselines)
    features: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    labels: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    radii: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))

    def baseline(self, name: str) -> float:
        """The floor of that name in FLOORS."""
        return self.floors[BASELINES.index(name)].item()


def measure_statistics(
    images: Iterable[Tensor],
    count: int,
    extractor: Extractor,
    device: torch.device,
    labels: Tensor | None = None,
    keep: int = KEPT_FEATURES,
) -> Statistics:
    """Statistics of `count` pictures that come in batches, uint8 [n, C, H, W], with labels int64 [count] or none.

    keep: of how many the features are kept.
    """
    is_kept = torch.zeros(count, dtype=torch.bool)
    is_kept[torch.randperm(count, generator=generator(1))[:keep]] = True
    in_first = torch.randperm(count, generator=torch.Generator().manual_seed(0)) % 2 == 0
    score, kept = inception_score(extractor.num_logits, sync_on_compute=False), []
    halves = FrechetDistance(extractor.num_features, sync_on_compute=False)
    done, told = 0, time.monotonic()
    for batch in images:
        features, logits = (x.cpu() for x in extractor(batch.to(device)))
        here = slice(done, done + len(batch))
        score.update(clamp_logits(logits))
        kept.append(features[is_kept[here]])
        halves.update(features[in_first[here]], real=True)
        halves.update(features[~in_first[here]], real=False)
        done += len(batch)
        if time.monotonic() - told > 20:
            told = time.monotonic()
            log.info("%d of %d real pictures measured", done, count)
    features, labels = torch.cat(kept), torch.zeros(0, dtype=torch.long) if labels is None else labels[is_kept]
    with isolated_rng(0):  # the scores' shuffles leave no trace
        floors = dict(zip(("is", "is_deviation"), score.compute(), strict=True)) | baselines_of_halves(features, labels)
    if count >= 4:
        floors |= {"fd": halves.compute(), "diversity": halves.diversity()}
    return Statistics(
        total=halves.real_features_sum + halves.fake_features_sum,
        outer=halves.real_features_cov_sum + halves.fake_features_cov_sum,
        count=halves.real_features_num_samples + halves.fake_features_num_samples,
        floors=torch.tensor([float(floors.get(name, math.nan)) for name in BASELINES], dtype=torch.float64),
        features=features,
        labels=labels,
        radii=knn_radii(features, NEIGHBOURS) if len(features) > NEIGHBOURS else torch.zeros(0, dtype=torch.float64),
    )


def baselines_of_halves(features: Tensor, labels: Tensor) -> dict[str, float]:
    """Scores of one random half of the features [m, d], labels [m] or [0], against the other."""
    if len(features) // 2 <= NEIGHBOURS:
        return {}
    first, second = torch.randperm(len(features), generator=generator(2)).chunk(2)
    found = dict(zip(("kid", "kid_deviation"), kernel_distance(features[first], features[second]), strict=True))
    found |= prdc(features[first], features[second], NEIGHBOURS)
    if len(labels):
        found["intra_fd"] = intra_class_distance(features[first], labels[first], features[second], labels[second])
    return found


def statistics_path(name: str, identity: dict) -> Path:
    """Where the statistics lie that `identity` (plain types: data, weights, counts ...) determines."""
    digest = sha256(canonical_json(identity).encode()).hexdigest()[:16]
    return cache_dir() / "statistics" / f"{name}-{digest}.safetensors"


def load_statistics(path: Path, identity: dict, num_features: int) -> Statistics | None:
    """The statistics of `identity` in a file; None when there is no file, or one that is damaged or of another kind."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            content, told = {name: file.get_tensor(name) for name in sorted(file.keys())}, file.metadata() or {}
        if told.get("identity") != canonical_json(identity):
            raise ValueError(f"made for {told.get('identity')}")
        if told.get("sha256") != tensors_digest(content):
            raise ValueError("its bytes have changed")
        found = Statistics(**content)
        if found.outer.shape != (num_features, num_features):
            raise ValueError(f"{len(found.outer)} features instead of {num_features}")
    except Exception as error:  # safetensors, OSError, TypeError for other keys: whatever it is, measuring mends it
        log.warning("%s is no such statistics as are needed (%s): measured anew", path, error)
        return None
    return found


def save_statistics(path: Path, statistics: Statistics, identity: dict) -> None:
    """Write all or nothing: several processes may write the same file. What killed ones have left goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f"{path.name}.*"):
        if time.time() - left.stat().st_mtime > 3600:
            left.unlink(missing_ok=True)
    content = {name: tensor.contiguous() for name, tensor in asdict(statistics).items()}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_bytes(save(content, {"identity": canonical_json(identity), "sha256": tensors_digest(content)}))
    beside.replace(path)


def tensors_digest(content: Mapping[str, Tensor]) -> str:
    """Of names, shapes and bytes; safetensors itself would not notice a changed byte."""
    digest = sha256()
    for name in sorted(content):
        digest.update(f"{name} {[*content[name].shape]}".encode())
        digest.update(content[name].numpy().tobytes())
    return digest.hexdigest()


def canonical_json(identity: dict) -> str:
    return json.dumps(identity, sort_keys=True)
