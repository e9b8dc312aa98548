"""A stranger's exported model: without trust=true no code in it runs, and what is wrong with it is one message."""

import json
import os
import shutil
from pathlib import Path

import pytest
from helpers.victim import ESCAPE, MARKER, SCRIPT, Victim

from ganrun.cli.main import main

RUN = Path(__file__).parents[1] / "fixtures" / "v0.1" / "run"
CODE = "import os; open(os.environ['MARKER'], 'w').close()\n"
VERBS = {
    "eval": ["eval", "theirs", "copies=0", "samples=32"],
    "sample": ["sample", "theirs", "n=4"],
    "quiz": ["quiz", "theirs", "n=5000"],
    "export": ["export", "theirs", "out=mine"],
    "translate": ["translate", "theirs", "input=theirs"],
    "resume": ["resume", "theirs", "kimg=1"],
    "compare": ["compare", "theirs", "theirs"],
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "bundle"
    assert main(["export", str(RUN), f"out={folder}"]) == 0
    return folder


@pytest.fixture
def victim(tmp_path, tmp_path_factory, warm, exported):
    victim = Victim(tmp_path, tmp_path_factory.getbasetemp() / "cache-of-victims", warm)
    shutil.copytree(exported, victim.work / "theirs")
    return victim


def edit_card(folder, **entries):
    path = folder / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def modules(folder, home):
    for name in ("network", "sample", "torch", "numpy", "safetensors", "onnxruntime", "sitecustomize", "cgan"):
        (folder / f"{name}.py").write_text(CODE)


def hostile_texts(folder, home):
    text = f"{SCRIPT}{ESCAPE}"
    edit_card(folder, title=text, model=text, license=text, choices={"model": text, "data": text}, classes=[text] * 10)


def hostile_scores(folder, home):
    edit_card(folder, scores={f"val/fd_lenet{ESCAPE}": 1.0, "val/fd_lenet": 2.0}, protocol={"resize": ESCAPE})


def without_checkpoint(folder, home):
    card = json.loads((folder / "card.json").read_text())
    del card["checkpoint"]
    (folder / "card.json").write_text(json.dumps(card))


def other_class(folder, home):
    config = json.loads((folder / "card.json").read_text())["config"]
    config["model"]["generator"] = {"_target_": "os.system", "command": f"touch {home.parent / MARKER}"}
    edit_card(folder, config=config)


def other_resolver(folder, home):
    config = json.loads((folder / "card.json").read_text())["config"]
    config["data"]["name"] = "${oc.env:SECRET}"
    edit_card(folder, config=config)


def link(name, target):
    def replace(folder, home):
        (folder / name).unlink()
        (folder / name).symlink_to(home / target)

    return replace


def fifo(name):
    def replace(folder, home):
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return replace


ATTACKS = {
    "modules": modules,
    "texts": hostile_texts,
    "scores": hostile_scores,
    "scores of text": lambda folder, home: edit_card(folder, scores={"val/fd_lenet": "low"}),
    "no checkpoint": without_checkpoint,
    "class": other_class,
    "resolver": other_resolver,
    "link of the weights": link("weights.safetensors", "secret.txt"),
    "link of the card": link("card.json", "secret.txt"),
    "fifo of the weights": fifo("weights.safetensors"),
    "fifo of the card": fifo("card.json"),
    "program": lambda folder, home: edit_card(folder, format="torchscript"),
    "deep": lambda folder, home: (folder / "card.json").write_text("[" * 200_000),
    "outside": lambda folder, home: edit_card(folder, files={"../../home/secret.txt": "0"}, programs=[]),
}


def attacks_and_verbs():
    """Each attack with each verb, all but two verbs per attack marked as slow."""
    verbs = [*VERBS]
    for i, attack in enumerate(ATTACKS):
        for j, verb in enumerate(verbs):
            marks = [pytest.mark.slow] if (j - i) % 3 or (j > 2) else []
            yield pytest.param(attack, verb, marks=marks)


@pytest.mark.parametrize(("attack", "verb"), [*attacks_and_verbs()])
def test_a_hostile_exported_model(victim, attack, verb):
    ATTACKS[attack](victim.work / "theirs", victim.home)
    victim.run(*VERBS[verb])


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["sample", "eval"])
def test_from_within_a_hostile_exported_model(victim, verb):
    modules(victim.work / "theirs", victim.home)
    args = ["." if arg == "theirs" else arg for arg in VERBS[verb]]
    victim.run(*args, cwd=victim.work / "theirs", is_fresh=True)
