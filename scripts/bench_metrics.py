"""FID, KID and IS in one pass and FID's matrix square root against torchmetrics; memory use of precision and recall.

python scripts/bench_metrics.py N D    that memory alone, as JSON: N real and N generated features of dimension D
"""

import json
import math
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.testing import assert_close
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from ganrun.metrics import reference_stats
from ganrun.metrics.extractors.base import Extractor, InceptionExtractor
from ganrun.metrics.feature_scores import FeatureScores
from ganrun.metrics.sampling import isolated_rng
from ganrun.metrics.scores.frechet import FrechetDistance, IdentityFeatures
from ganrun.metrics.scores.prdc import prdc

CPU, SCORES, LIMIT_GB = torch.device("cpu"), ("fd", "kid", "is"), 1.5
STOCK = "torchmetrics' three classes"
NOTE = """\
One pass: both sides use the same uint8 images 3x64x64, resize (tf1) and network (Inception with seeded random weights).
torchmetrics' three classes run them through the network five times (FID and KID real and generated, IS generated;
without its wrapper FeatureShare), ganrun once each: at most 2.5 times as fast, 5 times with cached real statistics.
Timed are the passes with all state that is kept. FID's compute is timed separately, on the same sums. The states and
distances of both sides are checked for equality.
Precision and recall: peak memory of a separate process, including torch and the features."""
T = TypeVar("T")


def by_turns(ours: Callable[[], T], theirs: Callable[[], T], rounds: int) -> list[tuple[T, T]]:
    """Run both in turns and return (ours, theirs) per round. The order alternates; a warm-up round is dropped."""
    results = []
    for turn in range(rounds + 1):
        if turn % 2 == 0:
            our, their = ours(), theirs()
        else:
            their, our = theirs(), ours()
        results.append((our, their))
    return results[1:]


class RandomInception(InceptionExtractor):
    """Inception with fixed random weights that keep the scale of the activations."""

    def load(self) -> None:
        if self.network is None:
            with isolated_rng(0):
                network = self.build()
                for layer in network.modules():
                    if isinstance(layer, nn.Conv2d):
                        nn.init.kaiming_normal_(layer.weight)
            self.network, self.digest = network.eval().requires_grad_(False), "random"


class Part(nn.Module):
    """An extractor as the network of a torchmetrics class: features (0) or logits (1) of uint8 images."""

    def __init__(self, extractor: Extractor, part: int):
        super().__init__()
        self.extractor, self.part = extractor, part
        self.num_features = (extractor.num_features, extractor.num_logits)[part]

    def forward(self, images: Tensor) -> Tensor:
        return self.extractor(images)[self.part]


class OnePass:
    """The passes of both sides over the same real and generated images, uint8 [N, C, H, W]."""

    def __init__(self, extractor: Extractor, real: Tensor, fake: Tensor, folder: Path):
        """folder: for the statistics of the real images."""
        self.extractor, self.real, self.fake = extractor, real, fake
        self.file = folder / "real.safetensors"

    def ours(self) -> tuple[float, float]:
        """Seconds of the pass over the real images, and of loading their statistics and scoring the generated ones."""
        start = time.process_time()
        with patch.object(FrechetDistance, "compute", lambda self: torch.tensor(math.nan)):
            measured = reference_stats.measure_statistics([self.real], len(self.real), self.extractor, CPU)
        end = time.process_time()
        reference_stats.save_statistics(self.file, measured, {})

        restart = time.process_time()
        known = reference_stats.load_statistics(self.file, {}, self.extractor.num_features)
        self.scores = FeatureScores(self.extractor, known, CPU, SCORES)
        self.scores.update(self.fake)
        return end - start, time.process_time() - restart

    def theirs(self) -> float:
        """Seconds of the five passes."""
        start = time.process_time()
        self.torchmetrics = stock_metrics(self.extractor)
        fid, kid, inception_score = self.torchmetrics
        for metric in (fid, kid):
            metric.update(self.real, real=True)
            metric.update(self.fake, real=False)
        inception_score.update(self.fake)
        return time.process_time() - start

    def check(self) -> None:
        """Raise AssertionError if the two sides keep different states."""
        fid, kid, inception_score = self.torchmetrics
        for name in (f"{of}_features_{what}" for of in ("real", "fake") for what in ("sum", "cov_sum", "num_samples")):
            assert_close(getattr(self.scores.moments, name), getattr(fid, name))
        rows = {need: buffer.compute() for need, buffer in self.scores.buffers.items()}
        assert_close(self.scores.real.features, *kid.real_features)
        assert_close(rows["features"], *kid.fake_features)
        assert_close(rows["logits"].softmax(1), torch.cat(inception_score.features).softmax(1))


def stock_metrics(
    extractor: Extractor,
) -> tuple[FrechetInceptionDistance, KernelInceptionDistance, InceptionScore]:
    """torchmetrics' classes, each of which runs the network itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* will save all extracted features")
        features, logits = Part(extractor, 0), Part(extractor, 1)
        return FrechetInceptionDistance(features), KernelInceptionDistance(features), InceptionScore(logits)


def one_pass(images: int, rounds: int) -> list[dict]:
    """FID, KID and IS of `images` images against as many real ones, without and with cached real statistics."""
    generator = torch.Generator().manual_seed(0)
    both = torch.randint(0, 256, (2, images, 3, 64, 64), generator=generator, dtype=torch.uint8)
    extractor = RandomInception()
    extractor.load()
    with tempfile.TemporaryDirectory() as folder:
        sides = OnePass(extractor, *both, Path(folder))
        pairs = by_turns(sides.ours, sides.theirs, rounds)
        sides.check()
    work = f"FID, KID and IS of {images} pictures"
    return [
        {"work": work, "against": STOCK, "ratios": [theirs / (real + fake) for (real, fake), theirs in pairs]},
        {"work": f"{work}, real known", "against": STOCK, "ratios": [theirs / fake for (_, fake), theirs in pairs]},
    ]


def matrix_root(features: int, rounds: int) -> list[dict]:
    """FID's compute for the given number of features, on the same float64 features on both sides."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 2 * features, features, generator=generator, dtype=torch.float64)
    real = real * torch.logspace(0, -1, features, dtype=torch.float64)
    fake = real.roll(1, 1) + 0.5 * fake
    options = {"compute_with_cache": False}
    sides = FrechetDistance(features, **options), FrechetInceptionDistance(IdentityFeatures(features), **options)
    for metric in sides:
        metric.update(real, real=True)
        metric.update(fake, real=False)
    pairs = by_turns(*(lambda metric=metric: time_compute(metric) for metric in sides), rounds)
    for (ours, _), (theirs, _) in pairs:
        assert_close(ours, theirs, rtol=1e-6, atol=0)
    ratios = [theirs / ours for (_, ours), (_, theirs) in pairs]
    return [{"work": f"FID's compute, {features:,} features", "against": "torchmetrics", "ratios": ratios}]


def time_compute(metric: FrechetInceptionDistance) -> tuple[Tensor, float]:
    """The distance and the seconds to compute it."""
    start = time.process_time()
    return metric.compute(), time.process_time() - start


def memory_of_prdc(count: int, features: int) -> list[dict]:
    """Peak memory of precision, recall, density and coverage in a new process."""
    command = [sys.executable, __file__, str(count), str(features)]
    result = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    work = f"precision and recall, {count:,} x {count:,} features of {features:,}"
    return [{"work": work, **result, "limit_gb": LIMIT_GB}]


def prdc_alone(count: int, features: int) -> dict:
    """Peak memory of this process and the seconds of `prdc` on random features.

    From the kernel's VmHWM, because ru_maxrss of a new process starts at its parent's peak.
    """
    torch.set_num_threads(1)
    real, fake = torch.randn(2, count, features, generator=torch.Generator().manual_seed(0))
    start = time.process_time()
    prdc(real, fake)
    seconds = time.process_time() - start
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"peak_gb": round(int(status["VmHWM"].split()[0]) * 1024 / 1e9, 3), "seconds": round(seconds, 1)}


def parts(rounds: int | None, is_quick: bool) -> dict[str, Callable[[], list[dict]]]:
    """Return what measures one pass, FID's matrix square root, and the memory of precision and recall."""
    images, features, count = (12, 512, 2000) if is_quick else (32, 2048, 10_000)
    return {
        "FID, KID and IS": lambda: one_pass(images, rounds or (1 if is_quick else 9)),
        "FID's compute": lambda: matrix_root(features, rounds or (3 if is_quick else 9)),
        "precision and recall": lambda: memory_of_prdc(count, 2048),
    }


if __name__ == "__main__":
    print(json.dumps(prdc_alone(*map(int, sys.argv[1:]))))
