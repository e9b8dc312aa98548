"""Names of files and folders that are too long, or that rich could take for markup, in each command."""

import pytest
from helpers.warm import WarmProcess
from PIL import Image

POINTS = ["train", "model=gan", "data=ring", "logger=none", "kimg=0.02", "batch_size=4", "metrics.samples=20"]
FOLDER = ["train", "model=dcgan", "data=folder", "data.size=32", "metrics=none", "network.width=4", "kimg=0.008"]
LONG = {"name": "a" * 300, "path": "a/" * 2500}
COMMANDS = {
    **{"folder": [*POINTS, "folder={}"], "restart": [*POINTS, "folder={}", "resume=true"]},
    **{"root": [*FOLDER, "data.root={}"], "resume": ["resume", "{}"], "sample": ["sample", "{}"]},
    **{"eval": ["eval", "{}"], "folders": ["eval", "--folder", "{}", "--against", "x"]},
    **{"input": ["translate", "run", "input={}"], "out": ["sample", "run", "out={}"]},
    **{"compare": ["compare", "run", "{}"], "sweep": ["sweep", "{}"], "go on": ["sweep", "resume", "{}"]},
    **{"sweep.name": [*POINTS, "-m", "seed=1,2", "sweep.name={}"], "configs": [*POINTS, "--config-dir", "{}"]},
    **{"list": ["list", "model", "--config-dir", "{}"], "branch": ["resume", "run", "branch=true", "folder={}"]},
    **{"export": ["export", "{}"], "bundle": ["export", "run", "out={}"]},
    **{"model": ["train", "model={}"], "weights": ["train", "model=dcgan", "data=digits", "metrics.weights={}"]},
}
MARKUP = ["[red]", "[/red]", "a [/b] [bold", "]x["]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    with WarmProcess() as process:
        run = lambda *args: process.run([*args], folder, folder / "output", {}, 60)  # noqa: E731
        run.folder = folder
        assert run(*POINTS, "folder=run").code == 0
        yield run


@pytest.mark.parametrize("long", LONG)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_name_that_is_too_long_is_refused_in_one_message(run, command, long):
    result = run(*(arg.replace("{}", LONG[long]) for arg in COMMANDS[command]))
    assert result.code == 2
    assert "Traceback" not in result.text
    assert result.text.count("ganrun: ") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", MARKUP)
def test_square_brackets_in_names_are_printed_as_they_are(run, name):
    pictures = run.folder / "pictures" / name
    pictures.mkdir(parents=True)
    for i in range(4):
        Image.new("RGB", (32, 32), (50 * i, 9, 9)).save(pictures / f"{i}.png")
    new, root, out = f"new/{name}", f"pictures/{name}", f"out/{name}"
    commands = [[*POINTS, f"folder={new}"], ["resume", new, "kimg=0.04"], ["sample", new, f"out={out}"]]
    commands += [["eval", new], ["compare", "run", new], [*FOLDER, f"data.root={root}", f"folder=images/{name}"]]
    commands += [[*POINTS, "dry_run=true", f"folder=plan/{name}"], [*POINTS, "-m", "seed=1,2", f"sweep.name=s{name}"]]
    commands += [["sweep", f"s{name}"]]
    for command in commands:
        result = run(*command)
        assert (result.code, "Traceback" in result.text) == (0, False), f"{command}\n{result.text}"
    assert name in run(*POINTS, f"folder={new}").text
