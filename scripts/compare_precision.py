"""Compare the quality of trainings in bfloat16 with that in float32: equal seeds, and equal lengths or times, by turns.

python scripts/compare_precision.py OUT --models dcgan,cgan,wgan,gan --seeds 1-5 --kimg 150 --jobs 2
python scripts/compare_precision.py OUT --models cgan --seeds 1-3 --minutes 3

Trains on the shipped digits with one thread per run, then prints for each model the mean paired relative difference of
val/fd_lenet at the end, with its 95 % interval (Student's t), and writes OUT/precision.json. Runs that are there are
not repeated: start it again after an interruption, or with more seeds.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t
from trainings import parse_seeds, read_status, train_once

MODELS = {  # dcgan: the default run
    "dcgan": [],
    "cgan": ["model=cgan", "data=digits"],
    "wgan": ["model=wgan", "data=digits"],
    "gan": ["model=gan", "data=digits"],
}
PRECISIONS = ("32-true", "bf16-mixed")
SCORE = "val/fd_lenet"


def run_folder(out: Path, model: str, seed: int, precision: str) -> Path:
    return out / f"{model}-{seed}-{precision}"


def train(out: Path, model: str, seed: int, precision: str, length: list[str]) -> None:
    """Train, unless that is done. Raises CalledProcessError if it fails."""
    folder = run_folder(out, model, seed, precision)
    status = train_once(folder, [*MODELS[model], f"seed={seed}", f"trainer.precision={precision}", *length])
    print(f"{folder.name}: {status['last'][SCORE]:.4g}", flush=True)


def compare(out: Path, model: str, seeds: range) -> dict:
    """Return the means of both precisions and the mean paired relative difference, with its 95 % interval."""
    scores = {p: [read_status(run_folder(out, model, seed, p))["last"][SCORE] for seed in seeds] for p in PRECISIONS}
    differences = [b / a - 1 for a, b in zip(*scores.values(), strict=True)]
    half = t.ppf(0.975, len(seeds) - 1) * stdev(differences) / len(seeds) ** 0.5 if len(seeds) > 1 else float("inf")
    means = {precision: round(mean(values), 2) for precision, values in scores.items()}
    bounds = {"low": round(mean(differences) - half, 4), "high": round(mean(differences) + half, 4)}
    return {"model": model, "seeds": len(seeds), **means, "difference": round(mean(differences), 4), **bounds}


def length_settings(kimg: float, minutes: float | None) -> list[str]:
    if minutes is None:
        return [f"kimg={kimg:g}", "minutes=null", f"validate_kimg={kimg / 2:g}", f"pictures_kimg={kimg:g}"]
    return ["kimg=10000", f"minutes={minutes:g}", "validate_kimg=10000", "pictures_kimg=10000"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--models", default="dcgan,cgan,wgan,gan")
    parser.add_argument("--seeds", type=parse_seeds, default=range(1, 6), help="such as 1-5")
    parser.add_argument("--kimg", type=float, default=150)
    parser.add_argument("--minutes", type=float, help="equal times instead of equal kimg; on a quiet machine, one job")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    models, length = options.models.split(","), length_settings(options.kimg, options.minutes)
    with ThreadPoolExecutor(options.jobs) as pool:
        points = product(options.seeds, models, PRECISIONS)
        futures = [pool.submit(train, options.out, m, seed, p, length) for seed, m, p in points]
    for future in futures:
        future.result()
    results = [compare(options.out, model, options.seeds) for model in models]
    (options.out / "precision.json").write_text(json.dumps(results, indent=2) + "\n")
    for r in results:
        print(f"{r['model']:8}{r['32-true']:10g}{r['bf16-mixed']:10g}  {r['difference']:+.1%} ", end="")
        print(f"({r['low']:+.1%} to {r['high']:+.1%}), {r['seeds']} seeds")


if __name__ == "__main__":
    main()
