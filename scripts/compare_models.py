"""Compare models under one protocol: equal networks, lengths and noise, several seeds.

python scripts/compare_models.py ring OUT --seeds 1-3 --jobs 2
python scripts/compare_models.py digits OUT --models dcgan,wgan_gp

Trains on one thread per run, prints the last and the best scores of each row, mean and standard deviation over the
seeds, and replaces these rows in benchmarks/models.json, from which the tables of the documentation are made. Runs that
are done are not repeated, and an interrupted one goes on: start the command again.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from bench import describe_machine
from trainings import is_done, parse_seeds, read_status, train_once

RESULTS = Path(__file__).parents[1] / "benchmarks" / "models.json"


class Table(NamedTuple):
    """A comparison: the scores of its columns, and {name of a row: settings of its runs}."""

    scores: list[str]
    rows: dict[str, list[str]]


def mixture(data: str, kimg: int) -> Table:
    """Return the comparison on a mixture of Gaussians.

    Each GAN takes as many generator steps, and its discriminator sees 128 examples or packs at a time. A GAN that did
    best with other settings of its own paper has them here.
    """
    gans = {
        "gan": ["model=gan"],
        "minibatch": ["model=gan", "network.discriminator.minibatch=standard_deviation"],
        "lsgan": ["model=lsgan"],
        "wgan": ["model=wgan", "model.c=0.5", f"kimg={5 * kimg}"],
        "wgan_gp": ["model=wgan_gp", "regularizer.gradient_penalty.weight=0.1", f"kimg={5 * kimg}"],
        "sngan": ["model=sngan", f"kimg={5 * kimg}"],
        "dragan": ["model=dragan", "regularizer.dragan.weight=0.1"],  # 10 lets no slope grow that sigma .01 needs
        "r3gan": ["model=r3gan", "regularizer.r1.gamma=0.1", "regularizer.r2.gamma=0.1"],
        "veegan": ["model=veegan", "model.z_dim=8"],
        "pacgan2": ["model=pacgan", "batch_size=256", f"kimg={2 * kimg}"],
        "pacgan4": ["model=pacgan", "model.pack=4", "batch_size=512", f"kimg={4 * kimg}"],
        "unrolled": ["model=unrolled"],
        "adagan": ["model=adagan", "schedule=constant", f"model.round_kimg={kimg}", f"kimg={5 * kimg}"],
    }
    rows = {name: [f"experiment=pilot_{data}", *own] for name, own in gans.items()}
    scores = ["val/modes", "val/high_quality", "val/reverse_kl"]
    return Table(scores, {**rows, "gmm": ["model=gmm", f"data={data}"]})


def digits() -> Table:
    """Return the comparison on digits. val/accuracy_lenet, of models with classes: share of samples that are right."""
    own = {
        "dcgan": [],
        "wgan": [],
        "wgan_gp": [],
        "lsgan": [],
        "sngan": ["network=resnet_small"],
        "dragan": [],
        "r3gan": [],
        "began": ["batch_size=32", "network.width=16", "loss.gamma=0.95", "loss.rate=0.01", "optimizer.lr=4e-4"],
        "ebgan": ["network.width=16"],
        "deshufflegan": [],
        "acgan": [],
        "projection": [],
        "cgan": [],
    }
    rows = {name: ["experiment=pilot_digits", f"model={name}", *settings] for name, settings in own.items()}
    scores = ["val/fd_lenet", "val/is_lenet", "val/precision_lenet", "val/recall_lenet", "val/accuracy_lenet"]
    return Table(scores, {**rows, "gmm": ["model=gmm", "data=digits"]})


def few_digits() -> Table:
    """Return the comparison on 1,000 digits: what augmentation gains where the discriminator overfits."""
    common = ["experiment=pilot_digits", "model=projection", "data.limit=1000"]
    augmented = ["regularizer=[spectral_norm,diffaugment]", "regularizer.diffaugment.policy=[translation,cutout]"]
    scores = ["val/fd_lenet", "val/is_lenet", "val/precision_lenet", "val/recall_lenet", "val/accuracy_lenet"]
    return Table(scores, {"projection": common, "diffaugment": [*common, *augmented]})


def stacked_digits() -> Table:
    """Return the comparison on stacked digits, with equal numbers of generator steps and of packs."""
    common = ["experiment=pilot_digits", "data=stacked_digits", "metrics=stacked"]
    packs = ["model=pacgan", "network=dcgan", "init=normal", "batch_size=128", "kimg=600"]
    rows = {"dcgan": ["model=dcgan"], "pacgan2": packs, "r3gan": ["model=r3gan"]}
    scores = ["val/modes", "val/reverse_kl"]
    return Table(scores, {name: [*common, *own] for name, own in rows.items()})


TABLES = {
    "ring": mixture("ring", 1536),
    "grid": mixture("grid", 2560),
    "digits": digits(),
    "few_digits": few_digits(),
    "stacked_digits": stacked_digits(),
}


def folder_of(out: Path, table: str, row: str, seed: int) -> Path:
    return out / f"{table}-{row}-{seed}"


def train(out: Path, table: str, row: str, seed: int) -> None:
    settings = [*TABLES[table].rows[row], f"seed={seed}"]
    status = train_once(folder_of(out, table, row, seed), settings)
    print(f"{table} {row} seed {seed}, {status['seconds']:.0f} s: {format_scores(table, status['last'])}", flush=True)


def format_scores(table: str, scores: dict) -> str:
    return "  ".join(f"{score} {scores[score]:.4g}" for score in TABLES[table].scores if score in scores)


def collect(out: Path, table: str, row: str, seeds: range) -> dict | None:
    """Return the row of benchmarks/models.json: scores of each seed whose run is done; None if there is none."""
    done = [seed for seed in seeds if is_done(folder_of(out, table, row, seed))]
    statuses = [read_status(folder_of(out, table, row, seed)) for seed in done]
    if not statuses:
        return None
    scores = [score for score in TABLES[table].scores if score in statuses[0]["last"]]
    return {
        "table": table,
        "row": row,
        "settings": TABLES[table].rows[row],
        "seeds": done,
        "kimg": statuses[0]["kimg"],
        "precision": statuses[0]["precision"],
        "last": {score: [round(status["last"][score], 4) for status in statuses] for score in scores},
        "best": {
            score: [round(status["best"][score], 4) for status in statuses if score in status["best"]]
            for score in scores
        },
        "machine": describe_machine(),
    }


def write(rows: list[dict]) -> None:
    """Replace these rows in benchmarks/models.json and keep the others."""
    old = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    new = {(row["table"], row["row"]): row for row in [*old, *rows]}
    order = [(table, row) for table in TABLES for row in TABLES[table].rows]
    RESULTS.write_text(json.dumps([new[key] for key in order if key in new], indent=1) + "\n")


def mean_and_deviation(values: list[float]) -> str:
    return f"{mean(values):.4g}" + (f" ± {stdev(values):.2g}" if len(values) > 1 else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("out", type=Path, help="folder of the runs")
    parser.add_argument("--models", help="rows, such as gan,lsgan; default: all")
    parser.add_argument("--seeds", type=parse_seeds, default=range(1, 4), help="such as 1-3")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    names = options.models.split(",") if options.models else list(TABLES[options.table].rows)
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(train, options.out, options.table, row, s) for s, row in product(options.seeds, names)]
    rows = [row for name in names if (row := collect(options.out, options.table, name, options.seeds))]
    write(rows)
    for row in rows:
        scores = "  ".join(f"{score} {mean_and_deviation(values)}" for score, values in row["last"].items())
        print(f"{row['row']:12} {len(row['seeds'])} seeds  {scores}")
    for future in futures:
        future.result()


if __name__ == "__main__":
    main()
