"""Every verb opens every hostile folder without trust=true: no code runs, nothing outside the folder is touched."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from helpers.victim import ESCAPE, SCRIPT, Victim
from omegaconf import OmegaConf
from PIL import Image

FIXTURES = Path(__file__).parents[1] / "fixtures" / "v0.1"
CODE = "import os; open(os.environ['MARKER'], 'w').close()\n"
VERBS = {
    "resume": ["resume", "RUN", "kimg=0.096"],
    "branch": ["resume", "RUN", "branch=true", "kimg=0.096", "folder=branch"],
    "train": ["train", "folder=RUN", "resume=true", "model=cgan", "kimg=0.096"],
    "eval": ["eval", "RUN", "copies=0", "samples=32"],
    "sample": ["sample", "RUN", "n=4"],
    "look": ["look", "RUN", "film=true"],
    "translate": ["translate", "RUN", "input=pictures"],
    "quiz": ["quiz", "RUN", "n=5000"],  # more than there are test images: refused once the model is loaded
    "export": ["export", "RUN"],
    "sweep": ["sweep", "RUN"],
    "sweep resume": ["sweep", "resume", "RUN"],
    "compare": ["compare", "RUN", "known"],
    "runs": ["runs", "."],
    "status": ["status", "RUN"],
    "logs": ["logs", "RUN"],
    "stop": ["stop", "RUN"],
    "save": ["save", "RUN", "limit=0.1"],
    "tag": ["runs", "tag", "RUN", "mine"],
    "diff": ["runs", "diff", "RUN", "known"],
    "rm": ["runs", "rm", "RUN", "all=true", "--yes"],
    "clean": ["runs", "clean", ".", "--yes"],
}


@pytest.fixture
def victim(tmp_path, tmp_path_factory, warm):
    victim = Victim(tmp_path, tmp_path_factory.getbasetemp() / "cache-of-victims", warm)
    shutil.copytree(FIXTURES / "run", victim.work / "stranger")
    shutil.copytree(FIXTURES / "run", victim.work / "known")
    (victim.work / "pictures").mkdir()
    Image.new("RGB", (32, 32)).save(victim.work / "pictures" / "a.png")
    return victim


def trials(attacks, verbs):
    """Return each attack with each verb, all but one verb per attack marked as slow."""
    trials = []
    for i, attack in enumerate(attacks):
        for j, verb in enumerate(verbs):
            marks = [pytest.mark.slow] if (j - i) % len(verbs) else []
            trials.append(pytest.param(attack, verb, marks=marks))
    return trials


def edit_json(path, **entries):
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def edit_plan(run, **entries):
    """Change settings in the checkpoint and in config.yaml, with a right digest in the manifest."""
    (path,) = (run / "checkpoints").glob("*.ckpt")
    content = torch.load(path, weights_only=True)
    for plan in (content["ganrun"]["plan"], content["ganrun"]["config"], OmegaConf.load(run / "config.yaml")):
        changed = OmegaConf.create(plan)
        for key, value in entries.items():
            OmegaConf.update(changed, key.replace("__", "."), value, force_add=True)
        if plan is content["ganrun"]["plan"] or plan is content["ganrun"]["config"]:
            plan |= OmegaConf.to_container(changed)
        else:
            OmegaConf.save(changed, run / "config.yaml")
    torch.save(content, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit_json(run / "checkpoints" / "manifest.json", sha256={path.name: digest})
    edit_json(run / "status.json", state="interrupted")


def replace_by_link(path, target):
    """Put a link to `target` at the path. What was there moves to the target, if that is missing."""
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, target, dirs_exist_ok=True)
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def modules(run, home):
    for name in ("torch", "types", "random", "profile", "yaml", "numpy", "sitecustomize", "lightning", "mine"):
        (run / f"{name}.py").write_text(CODE)
    (run / "hydra_plugins").mkdir()
    (run / "hydra_plugins" / "evil.py").write_text(CODE)


def temporary_links(run, home):
    for path in [
        run / "config.yaml",
        run / "status.json",
        run / "metrics.jsonl",
        run / "checkpoints" / "manifest.json",
    ]:
        path.with_name(f".{path.name}.partial").symlink_to(home / ".bashrc")
    (run / "checkpoints" / ".kimg000000.096.ckpt.partial").symlink_to(home / ".bashrc")


def log_links(run, home):
    for name in ("train.log", "metrics.jsonl", "report.html", "leaderboard.csv"):
        replace_by_link(run / name, home / "documents" / "notes.txt")


def long_json(run, home):
    (run / "status.json").write_text("[" * 200_000)
    (run / "metrics.jsonl").write_text('{"kimg": ' + "9" * 5000 + "}\n")


def alias_bomb(run, home):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    (run / "config.yaml").write_text("\n".join(lines))


def fifos(*names):
    def build(run, home):
        for name in names:
            (run / name).unlink(missing_ok=True)
            os.mkfifo(run / name)

    return build


def hostile_status(run, home):
    bad = {"state": f"{SCRIPT}{ESCAPE}", "choices": {"model": f"{SCRIPT}{ESCAPE}", "data": ESCAPE}}
    edit_json(run / "status.json", host=f"{ESCAPE}{SCRIPT}", **bad)


def manifest_outside(run, home):
    edit_json(run / "checkpoints" / "manifest.json", last="../../../home/documents/kimg000000.001.ckpt", sha256={})


ATTACKS = {
    "modules": modules,
    "links of temporary files": temporary_links,
    "links of logs": log_links,
    "lock": lambda run, home: replace_by_link(run / ".lock", home / ".bashrc"),
    "checkpoints": lambda run, home: replace_by_link(run / "checkpoints", home / "documents" / "checkpoints"),
    "samples": lambda run, home: replace_by_link(run / "samples", home / "pictures"),
    "quiz": lambda run, home: replace_by_link(run / "quiz", home / "documents"),
    "status": lambda run, home: replace_by_link(run / "status.json", home / "secret.txt"),
    "save_dir": lambda run, home: edit_plan(run, logger__save_dir=str(home / "documents")),
    "environment": lambda run, home: edit_plan(run, data__name="${oc.env:SECRET}"),
    "environment, hidden": lambda run, home: edit_plan(run, data__name="a ${oc.env:SECRET,x} b"),
    "class": lambda run, home: edit_plan(run, model___target_="mine.Model"),
    "callback": lambda run, home: edit_plan(run, callbacks__mine={"_target_": "os.system"}),
    "markup": hostile_status,
    "names": lambda run, home: edit_plan(run, data__name=f"{ESCAPE}{SCRIPT}"),
    "manifest": manifest_outside,
    "fifos": fifos("status.json", "config.yaml"),
    "more fifos": fifos("metrics.jsonl", "train.log", "checkpoints/manifest.json"),
    "alias bomb": alias_bomb,
    "long json": long_json,
}


@pytest.mark.parametrize(("attack", "verb"), trials(ATTACKS, VERBS))
def test_a_hostile_run(victim, attack, verb):
    ATTACKS[attack](victim.work / "stranger", victim.home)
    victim.run(*[arg.replace("RUN", "stranger") for arg in VERBS[verb]])


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_from_within_a_hostile_run(victim, verb):
    run = victim.work / "stranger"
    modules(run, victim.home)
    shutil.copytree(victim.work / "known", run / "known")
    shutil.copytree(victim.work / "pictures", run / "pictures")
    victim.run(*[arg.replace("RUN", ".") for arg in VERBS[verb]], cwd=run, is_fresh=True)


SWEEP_VERBS = {
    "sweep": ["sweep", "SWEEP"],
    "sweep resume": ["sweep", "resume", "SWEEP"],
    "compare": ["compare", "SWEEP"],
    "compare two": ["compare", "SWEEP", "known"],
    "train": ["train", "-m", "folder=SWEEP", "model=gan", "data=ring", "optimizer.lr=1e-3,1e-4"],
}


@pytest.fixture
def sweep(victim):
    (source,) = (FIXTURES / "outputs" / "sweeps").iterdir()
    shutil.copytree(source, victim.work / "theirs")
    edit_json(victim.work / "theirs" / "sweep.json", command=small_command(victim.work / "theirs"))
    return victim.work / "theirs"


def small_command(sweep):
    return json.loads((sweep / "sweep.json").read_text())["command"]


def added_command(*overrides):
    return lambda sweep, home: edit_json(sweep / "sweep.json", command=[*small_command(sweep), *overrides])


def own_config_dir(sweep, home):
    (sweep / "conf" / "model").mkdir(parents=True)
    (sweep / "conf" / "model" / "gan.yaml").write_text("_target_: mine.Model\n")
    (sweep / "mine.py").write_text(CODE)
    edit_json(sweep / "sweep.json", flags={"--config-dir": str(sweep / "conf")})


def edit_jobs(**entries):
    def build(sweep, home):
        jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
        edit_json(sweep / "sweep.json", jobs=[{**job, **entries} for job in jobs])

    return build


def sweep_links(sweep, home):
    for name in (".sweep.json.partial", ".leaderboard.csv.partial", ".report.html.partial", ".compare.html.partial"):
        (sweep / name).symlink_to(home / ".bashrc")


def sweep_folders(sweep, home):
    replace_by_link(sweep / "logs", home / "documents")
    replace_by_link(sweep / ".runners", home / "documents")


def secret_sample(sweep, home):
    Image.new("RGB", (8, 8)).save(home / "pictures" / "secret.png")
    for job in ("0-lr-0.001", "1-lr-0.0001"):
        (sweep / job / "samples").mkdir(exist_ok=True)
        (sweep / job / "samples" / "kimg000006.000.png").symlink_to(home / "secret.txt")


def markup_everywhere(sweep, home):
    edit_jobs(error=f"{SCRIPT}{ESCAPE}")(sweep, home)
    for job in ("0-lr-0.001", "1-lr-0.0001"):
        hostile_status(sweep / job, home)
        (sweep / "logs" / f"{job}.log").write_text(f"ganrun: {SCRIPT}{ESCAPE}\n")


SWEEP_ATTACKS = {
    "class": added_command("model._target_=mine.Model"),
    "new class": added_command("+callbacks.mine._target_=os.system"),
    "search path": added_command("hydra.searchpath=[file:///tmp]"),
    "launcher": added_command("hydra.launcher._target_=os.system"),
    "job folder": added_command("hydra.sweep.dir=${oc.env:HOME}/documents"),
    "environment": added_command("+data.note=${oc.env:SECRET}"),
    "config dir": own_config_dir,
    "job names": edit_jobs(name="../../home/documents", state="waiting"),
    "absolute names": edit_jobs(name="/etc", state="waiting"),
    "state": edit_jobs(state=f"{SCRIPT}{ESCAPE}"),
    "types": edit_jobs(values=["x"], seed="x", name=3, number="x"),
    "temporary files": sweep_links,
    "lock": lambda sweep, home: replace_by_link(sweep / ".lock", home / ".bashrc"),
    "folders": sweep_folders,
    "job as link": lambda sweep, home: replace_by_link(sweep / "1-lr-0.0001", home / "documents" / "job"),
    "sample": secret_sample,
    "markup": markup_everywhere,
    "modules": modules,
    "fifo": fifos("sweep.json"),
    "more fifos": fifos("leaderboard.csv", "0-lr-0.001/status.json", "logs/0-lr-0.001.log", "study.journal"),
    "long json": lambda sweep, home: (sweep / "sweep.json").write_text("[" * 200_000),
}


@pytest.mark.parametrize(("attack", "verb"), trials(SWEEP_ATTACKS, SWEEP_VERBS))
def test_a_hostile_sweep(victim, sweep, attack, verb):
    SWEEP_ATTACKS[attack](sweep, victim.home)
    victim.run(*[arg.replace("SWEEP", "theirs") for arg in SWEEP_VERBS[verb]])


@pytest.mark.slow
@pytest.mark.parametrize("verb", SWEEP_VERBS)
def test_from_within_a_hostile_sweep(victim, sweep, verb):
    modules(sweep, victim.home)
    shutil.copytree(victim.work / "known", sweep / "known")
    victim.run(*[arg.replace("SWEEP", ".") for arg in SWEEP_VERBS[verb]], cwd=sweep, is_fresh=True)
