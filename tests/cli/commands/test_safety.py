"""What damaged and hostile files cannot do, and two processes that want the same folder."""

import hashlib
import io
import json
import pickle
import shlex
import shutil
import sys
import zipfile

import numpy as np
import pytest
import torch
from helpers.runs import SHORT, equal, load_checkpoint, status, weights
from PIL import Image

from ganrun.cli.main import main

LAST, PREVIOUS = "kimg000000.200.ckpt", "kimg000000.160.ckpt"
TINY = [*SHORT, "kimg=0.2", "checkpoint.kimg=0.04", "metrics=none"]
MINE = """
from pathlib import Path
from ganrun.models.gan import GAN
Path("pwned").touch()
class Thing(GAN):
    pass
"""


class Attack:
    """What runs code wherever it is unpickled."""

    def __reduce__(self):
        return eval, ("open('pwned', 'w').close()",)


@pytest.fixture(scope="module")
def trained(workplace):
    """Two short trainings, by other models."""
    assert main(["train", *TINY, "folder=run"]) == 0
    assert main(["train", *TINY, "model=wgan", "network=points", "folder=other"]) == 0
    return workplace


@pytest.fixture
def run(trained, cli):
    """A training with two good checkpoints, in a working folder of its own."""
    shutil.copytree(trained / "run", cli.folder / "run")
    status_of_a_killed(cli.folder / "run")
    (cli.folder / "pictures").mkdir()
    Image.new("RGB", (32, 32)).save(cli.folder / "pictures" / "a.png")
    yield cli.folder / "run"
    assert not (cli.folder / "pwned").exists()


def status_of_a_killed(run):
    told = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps({**told, "state": "running"}))


def replace(run, data):
    """Puts other bytes in place of the last checkpoint, as one who knows of the digest would."""
    path = run / "checkpoints" / LAST
    path.write_bytes(data)
    told = json.loads((path.parent / "manifest.json").read_text())
    told["sha256"][LAST] = hashlib.sha256(data).hexdigest()
    (path.parent / "manifest.json").write_text(json.dumps(told))


def saved(thing, **settings):
    buffer = io.BytesIO()
    torch.save(thing, buffer, **settings)
    return buffer.getvalue()


def commands(run):
    """Each command that reads a checkpoint."""
    words = {"resume": [], "eval": ["metrics=modes"], "sample": [], "translate": ["input=pictures"]}
    return {verb: [verb, str(run), *more] for verb, more in words.items()}


# damage

DAMAGES = {
    "a flipped byte of a tensor": (lambda good, _: flipped(good, good.index(b"/data/0") + 300), "in it is damaged"),
    "a flipped byte elsewhere": (lambda good, _: flipped(good, len(good) - 30), "damaged|bytes have changed"),
    "half of it": (lambda good, _: good[: len(good) // 2], "it is damaged or truncated"),
    "nothing": (lambda good, _: b"", "it is empty"),
    "a text": (lambda good, _: b"hello\n", "it is no archive of tensors"),
    "another model": (lambda good, other: other, "its bytes have changed since it was written"),
}


def flipped(good, place):
    return good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_command_names_the_damage_and_the_good_checkpoint_before_it(trained, run, capsys, damage):
    path = run / "checkpoints" / LAST
    make, words = DAMAGES[damage]
    path.write_bytes(make(path.read_bytes(), (trained / "other" / "checkpoints" / LAST).read_bytes()))
    for command in commands(run).values():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert any(word in message for word in words.split("|")), message
        assert f"{path} cannot be read as a checkpoint" in message
        assert f"{path.parent / PREVIOUS} is intact" in message
    assert main(["resume", str(path.parent / PREVIOUS)]) == 0
    assert equal(weights(run), weights(trained / "run"))


def test_a_newer_schema_is_told_with_its_version(run, capsys):
    good = load_checkpoint(run)
    newer = {**good["ganrun"], "schema": 99, "versions": {"ganrun": "9.9"}}
    replace(run, saved({**good, "ganrun": newer}))
    for command in commands(run).values():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert "was written by a newer ganrun (9.9). Update ganrun." in message
        assert f"{run / 'checkpoints' / PREVIOUS} is intact" in message


def test_a_checkpoint_of_another_model_does_not_take_the_place_of_this_ones(trained, run, cli, capsys):
    other = (trained / "other" / "checkpoints" / LAST).read_bytes()
    (run / "checkpoints" / "kimg000000.190.ckpt").write_bytes(other)
    replace(run, other)
    before = {path: path.read_bytes() for path in (run / "checkpoints").iterdir()}
    for name in ("run", "run/checkpoints/kimg000000.190.ckpt"):
        assert main(["resume", name]) == 2
        assert "is a checkpoint of model=wgan data=ring, but run trains model=gan data=ring" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (run / "checkpoints").iterdir()} == before
    (cli.folder / "a" / "b").mkdir(parents=True)
    (cli.folder / "a" / "b" / "c.ckpt").write_bytes(other)
    assert main(["resume", "a/b/c.ckpt"]) == 2
    message = capsys.readouterr().err
    assert "a/b/c.ckpt is not in a run folder" in message
    assert [path.name for path in (cli.folder / "a").rglob("*")] == ["b", "c.ckpt"]
    (advice,) = [shlex.split(line.split("ganrun ")[-1]) for line in message.splitlines() if "branch=true" in line]
    assert main([*advice, "folder=begun", "kimg=0.22"]) == 0
    assert status(cli.folder / "begun")["choices"]["model"] == "wgan"


# pickles


def packed(good):
    """A checkpoint of a hundred times its size when it is unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    return buffer.getvalue()


HOSTILE = {
    "a bare pickle": lambda good: pickle.dumps(Attack()),
    "torch's archive": lambda good: saved({**good, "seen": Attack()}),
    "torch's old form": lambda good: saved({**good, "seen": Attack()}, _use_new_zipfile_serialization=False),
    "an attack alone": lambda good: saved(Attack()),
    "a bomb": packed,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:.*TypedStorage")
def test_no_pickle_in_a_checkpoint_is_run(run, cli, capsys, name):
    replace(run, HOSTILE[name](load_checkpoint(run)))
    for command in commands(run).values():
        assert main(command) == 2
        assert "Traceback" not in capsys.readouterr().err
        assert not (cli.folder / "pwned").exists()


@pytest.mark.slow
def test_no_pickle_in_a_cache_file_is_run(cli, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    words = "train model=dcgan data=digits network.width=2 batch_size=4 kimg=0.004 metrics=lenet metrics.samples=20"
    words = [*words.split(), "logger=none", "metrics.reference=50", "data.size=32"]
    assert main([*words, "folder=first"]) == 0
    (statistics,) = (tmp_path / "cache" / "statistics").glob("*.safetensors")
    good = statistics.read_bytes()
    statistics.write_bytes(pickle.dumps(Attack()))
    assert main([*words, "folder=second"]) == 0
    assert "measured anew" in capsys.readouterr().err
    assert len(statistics.read_bytes()) == len(good)
    assert not (cli.folder / "pwned").exists()


def test_no_pickle_among_prepared_pictures_is_run(cli, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    (cli.folder / "pictures").mkdir()
    for i in range(4):
        Image.new("RGB", (32, 32), (60 * i, 0, 0)).save(cli.folder / "pictures" / f"{i}.png")
    words = "train model=dcgan data=folder data.root=pictures data.size=32 network.width=2 batch_size=4 kimg=0.004"
    words = [*words.split(), "metrics=none", "logger=none"]
    assert main([*words, "folder=first"]) == 0
    (array,) = (tmp_path / "cache" / "data").glob("*/train-x.npy")
    for data in (pickle.dumps(Attack()), numpy_file(Attack())):
        array.write_bytes(data)
        assert main([*words, "folder=second"]) == 2
        assert "are damaged" in capsys.readouterr().err
        assert not (cli.folder / "pwned").exists()


def numpy_file(thing):
    buffer = io.BytesIO()
    np.save(buffer, np.array([thing], dtype=object), allow_pickle=True)
    return buffer.getvalue()


# configs

CLASS, COMPUTED = "which is not one of ganrun's own classes", "which computes its value with a resolver"
CONFIGS = {
    "a file that is opened": ({"_target_": "builtins.open", "file": "pwned", "mode": "w"}, CLASS),
    "a command": ({"_target_": "os.system", "command": "touch pwned"}, CLASS),
    "a module of the folder": ({"_target_": "mymodule.Thing"}, CLASS),
    "a name from elsewhere": ({"_target_": "${oc.env:GANRUN_TEST_TARGET}", "file": "pwned", "mode": "w"}, CLASS),
    "a made mapping": ("${oc.create:{_target_: builtins.open, file: pwned, mode: w}}", COMPUTED),
    "a read mapping": ("${oc.decode:'{_target_: builtins.open, file: pwned, mode: w}'}", COMPUTED),
    "one within another": ("${oc.env:NO,${oc.decode:'{_target_: builtins.open, file: pwned, mode: w}'}}", COMPUTED),
}


def put(place, value, told):
    *path, last = place.split(".")
    for key in path:
        told = told[key]
    told[last] = value


@pytest.mark.slow
@pytest.mark.parametrize("place", ["model", "data.source", "metrics", "logger", "optimizers.generator"])
@pytest.mark.parametrize("name", CONFIGS)
def test_no_class_but_known_ones_is_built_from_a_checkpoints_config(run, cli, monkeypatch, capsys, place, name):
    monkeypatch.setenv("GANRUN_TEST_TARGET", "builtins.open")
    (cli.folder / "mymodule.py").write_text(MINE)
    value, words = CONFIGS[name]
    good = load_checkpoint(run)
    for told in (good["ganrun"]["config"], good["ganrun"]["plan"]):
        put(place, value, told)
    replace(run, saved(good))
    for verb, command in commands(run).items():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert f"contains {place}{'._target_' if isinstance(value, dict) else ''}=" in message
        assert words in message
        assert f"ganrun {verb} {run}" in message
        assert not (cli.folder / "pwned").exists()


@pytest.fixture
def mine(cli):
    """A training of a class in the working folder."""
    (cli.folder / "mymodule.py").write_text(MINE)
    assert main(["train", *TINY, "model._target_=mymodule.Thing", "kimg=0.04", "folder=run"]) == 0
    yield cli.folder / "run"
    sys.modules.pop("mymodule")


def test_ones_own_class_is_built_by_the_command_that_the_refusal_prints(mine, capsys):
    for words in (["sample", "run"], ["resume", "run", "kimg=0.06"]):
        assert main(words) == 2
        command = capsys.readouterr().err.strip().splitlines()[-1].split("ganrun ")[-1]
        assert shlex.split(command) == [*words, "trust=true"]
        assert main(shlex.split(command)) == 0
    assert load_checkpoint(mine)["seen"]["images"] == 60


def test_a_value_from_the_environment_is_the_one_of_the_reader(run, monkeypatch, capsys):
    good = load_checkpoint(run)
    put("model.generator_loss", "${oc.env:GANRUN_TEST_LOSS}", good["ganrun"]["config"])
    replace(run, saved(good))
    for value, words in ((None, "'GANRUN_TEST_LOSS' not found"), ("foo", "generator_loss=foo")):
        if value:
            monkeypatch.setenv("GANRUN_TEST_LOSS", value)
        assert main(["sample", str(run), "n=2"]) == 2
        assert words in capsys.readouterr().err
    monkeypatch.setenv("GANRUN_TEST_LOSS", "minimax")
    assert main(["sample", str(run), "n=2"]) == 0
