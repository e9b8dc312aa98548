"""Statistics of the real images: measured once per data set and extractor, then cached on disk."""

import json
import logging
import math
import os
import re
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from ganrun.data.tensor_files import check_safetensors
from ganrun.files import building, cache_dir, remove_abandoned, remove_unchanged
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.sampling import isolated_rng
from ganrun.metrics.score_inputs import NO_LABELS, NO_RADII, ScoreInputs, Statistics
from ganrun.metrics.scores import Score, available_scores
from ganrun.metrics.scores.frechet import FrechetDistance
from ganrun.metrics.scores.prdc import NEIGHBOURS, knn_radii
from ganrun.seeds import generator

log = logging.getLogger(__name__)
KEPT_FEATURES = 10_000
MAX_BYTES = 300_000_000  # of a file; those of Inception's features have 116 million
TENSORS = ("total", "outer", "count", "features", "labels", "radii")  # the tensors in Statistics
BASELINES_0_1 = (  # the first baselines in every file, in this order, by which version 0.1 finds them
    *("fd", "diversity", "is", "is_deviation", "kid", "kid_deviation"),
    *("precision", "recall", "density", "coverage", "intra_fd"),
)


def measure_statistics(
    images: Iterable[Tensor],
    count: int,
    extractor: Extractor,
    device: torch.device,
    labels: Tensor | None = None,
    keep: int = KEPT_FEATURES,
) -> Statistics:
    """Measure `count` images that come in batches, uint8 [n, C, H, W], with labels int64 [count] or none.

    keep: number of images whose features are kept.
    """
    is_kept = torch.zeros(count, dtype=torch.bool)
    is_kept[torch.randperm(count, generator=generator(1))[:keep]] = True
    in_first = torch.randperm(count, generator=torch.Generator().manual_seed(0)) % 2 == 0
    halves = FrechetDistance(extractor.num_features, sync_on_compute=False)
    all_logits, kept, done, last = [], [], 0, time.monotonic()
    for batch in images:
        features, logits = (x.cpu() for x in extractor(batch.to(device)))
        here = slice(done, done + len(batch))
        all_logits.append(logits)
        kept.append(features[is_kept[here]])
        halves.update(features[in_first[here]], real=True)
        halves.update(features[~in_first[here]], real=False)
        done += len(batch)
        if time.monotonic() - last > 20:
            last = time.monotonic()
            log.info("%d of %d real images measured", done, count)
    features = torch.cat(kept)
    statistics = Statistics(
        *(first + second for first, second in zip(*halves.sums(), strict=True)),
        features=features,
        labels=NO_LABELS if labels is None else labels[is_kept],
        radii=knn_radii(features, NEIGHBOURS) if len(features) > NEIGHBOURS else NO_RADII,
    )
    scores = scores_with_baseline(extractor)
    statistics.baselines = measure_baselines(statistics, halves, torch.cat(all_logits), scores)
    return statistics


def measure_baselines(
    statistics: Statistics, halves: FrechetDistance, logits: Tensor, scores: Iterable[Score]
) -> dict[str, float]:
    """Scores of real images: of one random half against the other, or of all if a score uses only logits [count, K].

    halves: sums over the features of both halves of all images. NaN where there are too few images.
    """
    features, labels = statistics.features, statistics.labels
    order = torch.randperm(len(features), generator=generator(2))
    first, second = order[: (len(order) + 1) // 2], order[(len(order) + 1) // 2 :]
    real = Statistics(statistics.total, statistics.outer, statistics.count, features=features[first])
    inputs = ScoreInputs(real, halves, features[second], features[second], logits)
    inputs.batches = torch.zeros(len(logits), dtype=torch.long)
    if len(labels):
        real.labels, inputs.labels = labels[first], labels[second]
    is_enough = {"moments": statistics.count >= 4, "logits": True, "batches": True}
    baselines = dict.fromkeys(BASELINES_0_1, math.nan)
    with isolated_rng(0):
        for score in scores:
            is_possible = all(is_enough.get(need, len(second) > NEIGHBOURS) for need in score.needs)
            baselines |= score.values(inputs) if is_possible else dict.fromkeys(score.numbers, math.nan)
    return baselines


def scores_with_baseline(extractor: Extractor) -> list[Score]:
    """The scores that real images have with this extractor."""
    scores = available_scores().values()
    return [score for score in scores if score.has_baseline and not score.explain_misfit(extractor)]


def statistics_path(name: str, identity: dict) -> Path:
    """The file of the statistics that `identity` (plain types: data, weights, counts ...) determines."""
    digest = sha256(canonical_json(identity).encode()).hexdigest()[:16]
    plain = re.sub(r"[^\w.+-]", "_", name)  # it contains data.name, which may be a stranger's
    return cache_dir() / "statistics" / f"{plain}-{digest}.safetensors"


def load_statistics(path: Path, identity: dict, num_features: int, scores: Iterable[Score] = ()) -> Statistics | None:
    """Load the statistics of `identity`; None if there is no file, or if it is damaged or lacks something.

    scores: those whose baselines must be in it.
    """
    if not os.path.isfile(path):
        return None
    remove_abandoned(path.parent)
    try:
        check_safetensors(path, MAX_BYTES)
        with safe_open(path, "pt") as file:
            content, metadata = {name: file.get_tensor(name) for name in sorted(file.keys())}, file.metadata() or {}
        if metadata.get("identity") != canonical_json(identity):
            raise ValueError(f"made for {metadata.get('identity')}")
        if metadata.get("sha256") != tensors_digest(content):
            raise ValueError("its bytes have changed")
        names = json.loads(metadata.get("baselines", json.dumps(BASELINES_0_1)))
        baselines = dict(zip(names, content.pop("floors").tolist(), strict=True))
        statistics = Statistics(**content, baselines=baselines)
        if statistics.outer.shape != (num_features, num_features):
            raise ValueError(f"{len(statistics.outer)} features instead of {num_features}")
        missing = [number for score in scores for number in score.numbers if number not in baselines]
        if missing:
            raise ValueError(f"no baseline of {', '.join(missing)}")
    except Exception as error:  # safetensors, OSError, TypeError for other keys: all are solved by recomputing
        log.warning("%s: cached statistics are unusable (%s); recomputing", path, error)
        return None
    return statistics


def save_statistics(path: Path, statistics: Statistics, identity: dict) -> None:
    """Write the file as a whole or not at all; several processes may write it. Warn if that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_statistics(path, statistics, identity)
    except OSError as error:
        log.warning("%s cannot be written (%s); the next run measures these statistics again", path, error.strerror)


def _write_statistics(path: Path, statistics: Statistics, identity: dict) -> None:
    remove_unchanged(path.parent.glob(".*.safetensors.*[0-9]"))  # what killed processes of version 0.1 have left
    content = {name: getattr(statistics, name).contiguous() for name in TENSORS}
    content["floors"] = torch.tensor([*statistics.baselines.values()], dtype=torch.float64)
    metadata = {"identity": canonical_json(identity), "sha256": tensors_digest(content)}
    metadata["baselines"] = json.dumps([*statistics.baselines])
    with building(path) as partial:
        partial.write_bytes(save(content, metadata))
        os.replace(partial, path)


def tensors_digest(content: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and bytes; safetensors itself does not notice a changed byte."""
    digest = sha256()
    for name in sorted(content):
        digest.update(f"{name} {[*content[name].shape]}".encode())
        digest.update(content[name].numpy().tobytes())
    return digest.hexdigest()


def canonical_json(identity: dict) -> str:
    return json.dumps(identity, sort_keys=True)
