"""Compare models under one protocol: equal networks, lengths and noise, several seeds.

python scripts/compare_models.py ring OUT --seeds 1-3 --jobs 2
python scripts/compare_models.py digits OUT --models dcgan,wgan_gp

Trains on one thread per run, prints the last and the best scores of each row, mean and standard deviation over the
seeds, and writes them into benchmarks/models.json, from which the tables of the documentation are made. Runs that are
done are not repeated, and an interrupted one goes on: start the command again.
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

    Each GAN takes as many generator steps, and its discriminator sees 128 examples or packs at a time. Settings of five
    papers do not suit Gaussians as narrow as these; docs/comparison.md says what was found.
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


def codes() -> Table:
    """Return the comparison of models with codes, at their own lengths."""
    names = ("autoencoder", "vae", "vaegan", "bigan", "ali", "bigbigan")
    rows = {name: [f"model={name}", "data=digits"] for name in names}
    return Table(["val/fd_lenet", "val/reconstruction_l1", "val/reconstruction_mse", "val/kept_lenet"], rows)


def read_codes() -> Table:
    """Return the comparison of models whose codes can be read from their images, at their own lengths."""
    scores = ["val/fd_lenet", "val/is_lenet", "val/code_recovery", "val/code_error", "val/code_agreement"]
    return Table(scores, {name: [f"model={name}", "data=digits"] for name in ("infogan", "infogan_cr")})


def sprites() -> Table:
    """Return the comparison of codes with the factors of sprites.

    As many uniform codes as factors. Those and five numbers of other noise, a discriminator with spectral norm and
    without BatchNorm, its rate twice the generator's, both lambda, alpha and no gap are of InfoGAN-CR's authors for
    dSprites; their trainings have 34 times as many images, and the pairs begin after 89 % of them.
    """
    names = [f"c{number}" for number in range(1, 7)]
    codes = [f"{'+' if number > 3 else ''}model.codes.{name}=uniform" for number, name in enumerate(names, 1)]
    networks = ["regularizer=spectral_norm", "+network.discriminator.net.batch_norm=false", "model.z_dim=11"]
    info = [
        "data=sprites",
        "kimg=600",
        *codes,
        *networks,
        "optimizer.lr=2e-3",
        "model.continuous_weight=0.05",
        "batch_size=64",
    ]
    pairs = ["model.contrastive_weight=2", "model.begin_kimg=300", "model.gap=0"]
    vae = ["model=vae", "data=sprites", "kimg=200", "model.z_dim=10"]
    rows = {
        "infogan": ["model=infogan", *info],
        "infogan_cr": ["model=infogan_cr", *info, *pairs],
        "vae": vae,
        "beta_vae": [*vae, "model.beta=4"],
    }
    scores = ["factor_vae", "mig", "dci_disentanglement", "dci_completeness", "dci_informativeness"]
    return Table([f"val/{score}" for score in scores], rows)


TABLES = {
    "ring": mixture("ring", 1536),
    "grid": mixture("grid", 2560),
    "digits": digits(),
    "codes": codes(),
    "read_codes": read_codes(),
    "sprites": sprites(),
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


def collect(out: Path, table: str, row: str, seeds: range) -> dict:
    """Return the row of benchmarks/models.json: the last and the best scores of each seed that is done."""
    runs = {}
    for seed in seeds:
        if is_done(folder := folder_of(out, table, row, seed)):
            status = read_status(folder)
            wanted = [score for score in TABLES[table].scores if score in status["last"]]
            runs[str(seed)] = {
                "kimg": status["kimg"],
                "precision": status["precision"],
                **{
                    when: {s: round(status[when][s], 4) for s in wanted if s in status[when]}
                    for when in ("last", "best")
                },
            }
    settings = TABLES[table].rows[row]
    return {"table": table, "row": row, "settings": settings, "runs": runs, "machine": describe_machine()}


def write(rows: list[dict]) -> None:
    """Put these rows into benchmarks/models.json. Other rows stay, and so do other seeds with the same settings."""
    new = {(row["table"], row["row"]): row for row in rows}
    for row in json.loads(RESULTS.read_text()) if RESULTS.exists() else []:
        known = new.setdefault((row["table"], row["row"]), row)
        if not known["runs"]:
            new[row["table"], row["row"]] = row
        elif row["settings"] == known["settings"]:
            known["runs"] = dict(sorted({**row["runs"], **known["runs"]}.items(), key=lambda run: int(run[0])))
    order = [(table, row) for table in TABLES for row in TABLES[table].rows]
    found = [new[key] for key in order if key in new and new[key]["runs"]]
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


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
    if unknown := [name for name in names if name not in TABLES[options.table].rows]:
        parser.error(f"no rows {', '.join(unknown)}; there are {', '.join(TABLES[options.table].rows)}")
    with ThreadPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(train, options.out, options.table, row, s) for s, row in product(options.seeds, names)]
    rows = [collect(options.out, options.table, name, options.seeds) for name in names]
    write(rows)
    for row in rows:
        runs = row["runs"].values()
        scores = {
            score: [run["last"][score] for run in runs if score in run["last"]] for score in TABLES[row["table"]].scores
        }
        texts = [f"{score} {mean_and_deviation(values)}" for score, values in scores.items() if values]
        print(f"{row['row']:12} {len(runs)} seeds  {'  '.join(texts)}")
    for future in futures:
        future.result()


if __name__ == "__main__":
    main()
