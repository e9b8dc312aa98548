"""Random commands: verbs, flags, choices, settings with good and bad values, wrong quotes, runs in all states."""

import random
import shutil
from pathlib import Path

from ganrun.config.schema import SETTINGS

FIXTURES = Path(__file__).parents[1] / "fixtures" / "v0.1"
TINY = ["model=gan", "data=ring", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "metrics=none"]
SHORT = ["batch_size=4", "kimg=0.032", "logger=none"]
WORDS = r"""
    0 1 2 -1 3.5 0.5 1e-320 1e400 nan -inf inf true false null none yes abc 2024 007 1e5 3.10 0x10 1_000 -0.0 ??? ~
    ${seed} ${nope} ${oc.env:HOME} ${oc.env:NOPE} ${now:%Y} [1,2] [] [[1]] {a:1} {} [a,b] a,b 1,1 range(1,3)
    interval(0,1) glob(*) choice(1) sort(1,2) ../x /nonexistent/x . / /dev/null é 日本 '' "" "it's" a'b a=b a:b a#b
    a%b \ \\, \' $( ) [ ] { } pictures runs/done work.txt 99999999999999999999 torch.nn.Linear os.system mine.Model
    ganrun.models.gan.GAN auto cpu [0,0.9] (0.5,0.9) 64 [8] 1e-3
"""
VALUES = [*WORDS.split(), "'a b'", "a b", " ", "a\nb", "a\tb", "\x1b[31m", "\u202e", "x" * 300, "[bold]x[/bold]", "[/]"]
VALUES += ["😀", "\udcff"]
GROUPS = {
    "model": ["gan", "dcgan", "cgan", "wgan", "cyclegan", "nix", "null"],
    "network": ["mlp", "points", "cgan_mlp", "maxout", "cyclegan_small", "nix"],
    "data": ["ring", "grid", "digits", "folder", "unpaired", "unpaired_digits", "mixture_1200", "mnist", "nix", "null"],
    "metrics": ["none", "modes", "lenet", "inception", "translation_lenet", "nix"],
    "optimizer": ["adam", "sgd", "rmsprop", "nix", "[adam]"],
    "schedule": ["constant", "linear_decay", "nix"],
    "init": ["default", "normal", "orthogonal", "nix"],
    "logger": ["csv", "none", "tensorboard", "wandb", "nix"],
    "trainer": ["default", "nix"],
    "callbacks": ["default", "nix", "null"],
    "experiment": ["ring", "digits", "nix"],
    "protocol": ["fid50k", "lenet10k", "nix"],
    "hydra/launcher": ["joblib", "basic", "nix"],
    "sweep": ["grid", "tpe", "random", "nix"],
}
RUNS = [
    "done",
    "cut",
    "cgan",
    "own",
    "no-status",
    "no-config",
    "no-manifest",
    "bad-checkpoint",
    "empty-checkpoint",
    "bad-json",
]
RUNS += [
    "empty",
    "pictures",
    "work.txt",
    "missing",
    "last",
    ".",
    "",
    "done/checkpoints",
    "sweep",
    "no-metrics",
    "bad-yaml",
]
FLAGS = [
    "--help",
    "-h",
    "--cfg=job",
    "--cfg",
    "--info",
    "--resolve",
    "-m",
    "--multirun",
    "--version",
    "-x",
    "--nix",
    "--",
]
FLAGS += [
    "--config-dir=nix",
    "--config-dir",
    "--config-name=train",
    "--hydra-help",
    "--package=a",
    "-c",
    "-sc",
    "--folder",
]
LONG = {"kimg", "minutes", "folder", "hydra/launcher", "experiment", "trainer.num_nodes", "trainer.devices"}
SIZES = {"n", "columns", "samples", "batch_size"}  # not beyond what this machine takes
KEYS = sorted(key for key in SETTINGS if "*" not in key)


def make_workspace(folder: Path, done: Path) -> None:
    """Fill a folder with runs in all states, made of the finished run `done`, and with pictures."""
    runs = folder / "runs"
    runs.mkdir(parents=True)
    for name in RUNS:
        if name.isidentifier() or "-" in name:
            shutil.copytree(
                FIXTURES / "run" if name == "cgan" else FIXTURES / "own" if name == "own" else done, runs / name
            )
    for name in ("status.json", "config.yaml", "metrics.jsonl"):
        (runs / f"no-{name.partition('.')[0]}" / name).unlink(missing_ok=True)
    for name in ("empty", "pictures", "missing", "last", "sweep"):
        shutil.rmtree(runs / name, ignore_errors=True)
    (runs / "no-manifest" / "checkpoints" / "manifest.json").unlink()
    for name, content in (("bad-checkpoint", None), ("empty-checkpoint", b"")):
        for path in (runs / name / "checkpoints").glob("*.ckpt"):
            path.write_bytes(path.read_bytes()[:1000] if content is None else content)
    for path in (runs / "bad-json" / "status.json", runs / "bad-json" / "checkpoints" / "manifest.json"):
        path.write_text('{"state": ')
    (runs / "bad-yaml" / "config.yaml").write_text("a: [1\nb: {")
    status = runs / "cut" / "status.json"
    status.write_text(status.read_text().replace('"done"', '"running"'))
    shutil.copytree(FIXTURES / "outputs" / "sweeps", folder / "outputs" / "sweeps")
    shutil.copytree(next((FIXTURES / "outputs" / "sweeps").iterdir()), runs / "sweep")
    (runs / "empty").mkdir()
    (runs / "work.txt").write_text("work")
    (folder / "work.txt").write_text("work")


def make_command(rng: random.Random) -> list[str]:
    """Return the arguments of one random command."""
    verb = rng.choice(["train"] * 6 + ["resume"] * 3 + ["sample", "eval", "translate", "sweep", "compare", "list"] * 2)
    maker = {"train": train_args, "list": list_args, "compare": compare_args, "sweep": sweep_args}.get(verb, run_args)
    args = [verb, *maker(rng, verb)]
    if rng.random() < 0.5:
        return args
    if rng.random() < 0.3:
        args.insert(rng.randrange(len(args) + 1), rng.choice(FLAGS))
    if rng.random() < 0.3:
        args[rng.randrange(len(args))] = rng.choice(VALUES)
    if rng.random() < 0.4:
        at = rng.randrange(len(args))
        args[at] = damage(rng, args[at])
    return [arg for arg in args if "\0" not in arg]


def damage(rng: random.Random, text: str) -> str:
    """Return the text with a character less, or with one that shells, YAML or Hydra treat specially."""
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(["", *"'\"[]{}(),:=~+@#$%\\ \n"]) + text[at + rng.randrange(2) :]


def setting(rng: random.Random) -> str:
    key = rng.choice(KEYS)
    if rng.random() < 0.25:
        group = rng.choice([*GROUPS])
        return f"{group}={rng.choice(GROUPS[group])}"
    if rng.random() < 0.1:
        key = damage(rng, key) or "x"
    value = rng.choice(VALUES)
    while key in SIZES and len(value) > 4:
        value = rng.choice(VALUES)
    return f"{rng.choice(['', '', '', '', '+', '++', '~'])}{key}={value}"


def settings(rng: random.Random, most: int) -> list[str]:
    return [setting(rng) for _ in range(rng.randint(0, most))]


def train_args(rng: random.Random, verb: str) -> list[str]:
    args = [
        *(TINY if rng.random() < 0.8 else []),
        *SHORT,
        *settings(rng, rng.choice([1, 1, 4])),
        *rng.choice([[], ["dry_run=true"]]),
    ]
    args += rng.choice([[], [], ["folder=new"], ["folder=runs/cut", "resume=true"], ["folder=runs/empty"]])
    if rng.random() < 0.2:  # jobs are processes of their own, which take seconds
        args += [
            "-m",
            "dry_run=true",
            rng.choice(["seed=1,2", "model=gan,wgan", "optimizer.lr=1,1", "sweep.name=../x"]),
        ]
    return args if rng.random() < 0.2 else [*args, "minutes=0.05"]


def run_args(rng: random.Random, verb: str) -> list[str]:
    args = [f"runs/{rng.choice(RUNS)}" if rng.random() < 0.9 else rng.choice(VALUES), *settings(rng, 2)]
    own = {
        "resume": ["kimg=0.064", "branch=true", "folder=new", "optimizer.lr=1e-3", "branch=true seed=2", "data.root=x"],
        "sample": ["n=4", "as=folder", "as=npz", "out=new", "classes=[1,2]", "n=0", "columns=3", "which=best"],
        "eval": ["samples=16", "copies=0", "metrics=modes", "--folder pictures", "--against pictures", "device=cuda"],
        "translate": ["input=pictures", "input=nix", "to=a", "size=keep", "out=new", "input=work.txt"],
    }[verb]
    for words in rng.sample(own, rng.randint(0, 3)):
        args += words.split()
    return [*args, "minutes=0.05"] if verb == "resume" else args


def sweep_args(rng: random.Random, verb: str) -> list[str]:
    name = rng.choice([f"runs/{rng.choice(RUNS)}", "last", *VALUES[-3:], "x"])
    return [*rng.choice([[], ["resume"]]), name, *rng.choice([[], ["dry_run=true"], [setting(rng)]])]


def compare_args(rng: random.Random, verb: str) -> list[str]:
    return [f"runs/{rng.choice(RUNS)}" for _ in range(rng.randint(0, 4))] + settings(rng, 1)


def list_args(rng: random.Random, verb: str) -> list[str]:
    return rng.sample([*GROUPS, "nix", "é"], rng.randint(0, 2))
