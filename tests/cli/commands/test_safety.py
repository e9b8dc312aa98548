"""Damaged and malicious files are refused without running any code from them."""

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
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return eval, ("open('pwned', 'w').close()",)


@pytest.fixture(scope="module")
def trained(workplace):
    """Two short runs of different models."""
    assert main(["train", *TINY, "folder=run"]) == 0
    assert main(["train", *TINY, "model=wgan", "network=points", "folder=other"]) == 0
    return workplace


@pytest.fixture
def run(trained, cli):
    """A run with two good checkpoints, in a working folder of its own."""
    shutil.copytree(trained / "run", cli.folder / "run")
    mark_as_running(cli.folder / "run")
    (cli.folder / "pictures").mkdir()
    Image.new("RGB", (32, 32)).save(cli.folder / "pictures" / "a.png")
    yield cli.folder / "run"
    assert not (cli.folder / "pwned").exists()


def mark_as_running(run):
    (run / "status.json").write_text(json.dumps({**status(run), "state": "running"}))


def replace_checkpoint(run, data):
    """Replace the last checkpoint, and its digest in the manifest, as an attacker would."""
    path = run / "checkpoints" / LAST
    path.write_bytes(data)
    manifest = json.loads((path.parent / "manifest.json").read_text())
    manifest["sha256"][LAST] = hashlib.sha256(data).hexdigest()
    (path.parent / "manifest.json").write_text(json.dumps(manifest))


def saved_bytes(content, **settings):
    buffer = io.BytesIO()
    torch.save(content, buffer, **settings)
    return buffer.getvalue()


def commands(run):
    """{verb: arguments} of each command that reads a checkpoint."""
    settings = {"resume": [], "eval": ["metrics=modes"], "sample": [], "translate": ["input=pictures"]}
    return {verb: [verb, str(run), *args] for verb, args in settings.items()}


DAMAGES = {
    "a flipped byte of a tensor": (lambda good, _: flipped(good, good.index(b"/data/0") + 300), "in it is damaged"),
    "a flipped byte elsewhere": (lambda good, _: flipped(good, len(good) - 30), "damaged|bytes have changed"),
    "half of it": (lambda good, _: good[: len(good) // 2], "it is damaged or truncated"),
    "nothing": (lambda good, _: b"", "it is empty"),
    "a text": (lambda good, _: b"hello\n", "it is not an archive of tensors"),
    "another model": (lambda good, other: other, "its bytes have changed since it was written"),
}


def flipped(good, i):
    return good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_command_names_the_damage_and_the_previous_checkpoint(trained, run, capsys, damage):
    path = run / "checkpoints" / LAST
    make, reasons = DAMAGES[damage]
    path.write_bytes(make(path.read_bytes(), (trained / "other" / "checkpoints" / LAST).read_bytes()))
    for command in commands(run).values():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert any(reason in message for reason in reasons.split("|")), message
        assert f"{path} cannot be read as a checkpoint" in message
        assert f"{path.parent / PREVIOUS} is intact" in message
    assert main(["resume", str(path.parent / PREVIOUS)]) == 0
    assert equal(weights(run), weights(trained / "run"))


def test_a_checkpoint_of_a_newer_ganrun_is_refused(run, capsys):
    good = load_checkpoint(run)
    newer = {**good["ganrun"], "schema": 99, "versions": {"ganrun": "9.9"}}
    replace_checkpoint(run, saved_bytes({**good, "ganrun": newer}))
    for command in commands(run).values():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert "was written by a newer ganrun (9.9). Update ganrun." in message
        assert f"{run / 'checkpoints' / PREVIOUS} is intact" in message


def test_resume_refuses_a_checkpoint_of_another_model(trained, run, cli, capsys):
    other = (trained / "other" / "checkpoints" / LAST).read_bytes()
    (run / "checkpoints" / "kimg000000.190.ckpt").write_bytes(other)
    replace_checkpoint(run, other)
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


def decompression_bomb(good):
    """A checkpoint that is a hundred times larger when unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    return buffer.getvalue()


HOSTILE = {
    "a bare pickle": lambda good: pickle.dumps(Attack()),
    "torch's zip format": lambda good: saved_bytes({**good, "seen": Attack()}),
    "torch's old format": lambda good: saved_bytes({**good, "seen": Attack()}, _use_new_zipfile_serialization=False),
    "only an attack": lambda good: saved_bytes(Attack()),
    "a decompression bomb": decompression_bomb,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.filterwarnings("ignore:.*TypedStorage")
def test_pickled_code_in_a_checkpoint_does_not_run(run, cli, capsys, name):
    replace_checkpoint(run, HOSTILE[name](load_checkpoint(run)))
    for command in commands(run).values():
        assert main(command) == 2
        assert "Traceback" not in capsys.readouterr().err
        assert not (cli.folder / "pwned").exists()


@pytest.mark.slow
def test_pickled_code_in_cached_statistics_does_not_run(cli, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    args = "train model=dcgan data=digits network.width=2 batch_size=4 kimg=0.004 metrics=lenet metrics.samples=20"
    args = [*args.split(), "logger=none", "metrics.reference=50", "data.size=32"]
    assert main([*args, "folder=first"]) == 0
    (statistics,) = (tmp_path / "cache" / "statistics").glob("*.safetensors")
    good = statistics.read_bytes()
    statistics.write_bytes(pickle.dumps(Attack()))
    assert main([*args, "folder=second"]) == 0
    assert "recomputing" in capsys.readouterr().err
    assert len(statistics.read_bytes()) == len(good)
    assert not (cli.folder / "pwned").exists()


def test_pickled_code_in_a_cached_data_set_does_not_run(cli, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    (cli.folder / "pictures").mkdir()
    for i in range(4):
        Image.new("RGB", (32, 32), (60 * i, 0, 0)).save(cli.folder / "pictures" / f"{i}.png")
    args = "train model=dcgan data=folder data.root=pictures data.size=32 network.width=2 batch_size=4 kimg=0.004"
    args = [*args.split(), "metrics=none", "logger=none"]
    assert main([*args, "folder=first"]) == 0
    (array,) = (tmp_path / "cache" / "data").glob("*/train-x.npy")
    for data in (pickle.dumps(Attack()), numpy_file(Attack())):
        array.write_bytes(data)
        assert main([*args, "folder=second"]) == 2
        assert "are damaged" in capsys.readouterr().err
        assert not (cli.folder / "pwned").exists()


def numpy_file(content):
    buffer = io.BytesIO()
    np.save(buffer, np.array([content], dtype=object), allow_pickle=True)
    return buffer.getvalue()


CLASS, COMPUTED = "which is not one of ganrun's own classes", "which computes its value with a resolver"
CONFIGS = {
    "opening a file": ({"_target_": "builtins.open", "file": "pwned", "mode": "w"}, CLASS),
    "a shell command": ({"_target_": "os.system", "command": "touch pwned"}, CLASS),
    "a module in the working folder": ({"_target_": "mymodule.Thing"}, CLASS),
    "a name from the environment": (
        {"_target_": "${oc.env:GANRUN_TEST_TARGET}", "file": "pwned", "mode": "w"},
        COMPUTED,
    ),
    "a created mapping": ("${oc.create:{_target_: builtins.open, file: pwned, mode: w}}", COMPUTED),
    "a decoded mapping": ("${oc.decode:'{_target_: builtins.open, file: pwned, mode: w}'}", COMPUTED),
    "a mapping in a shape": ("${image_shape:3,${oc.decode:'{_target_: builtins.open, file: pwned}'}}", COMPUTED),
    "a mapping in a pack": ("${packed_shape:[3],${oc.decode:'{_target_: builtins.open, file: pwned}'}}", COMPUTED),
    "a nested resolver": ("${oc.env:NO,${oc.decode:'{_target_: builtins.open, file: pwned, mode: w}'}}", COMPUTED),
}


def set_key(key, value, config):
    *parents, last = key.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value


@pytest.mark.slow
@pytest.mark.parametrize("key", ["model", "data.source", "metrics", "logger", "optimizers.generator"])
@pytest.mark.parametrize("name", CONFIGS)
def test_only_known_classes_are_built_from_the_config_of_a_checkpoint(run, cli, monkeypatch, capsys, key, name):
    monkeypatch.setenv("GANRUN_TEST_TARGET", "builtins.open")
    (cli.folder / "mymodule.py").write_text(MINE)
    value, reason = CONFIGS[name]
    good = load_checkpoint(run)
    for config in (good["ganrun"]["config"], good["ganrun"]["plan"]):
        set_key(key, value, config)
    replace_checkpoint(run, saved_bytes(good))
    for verb, command in commands(run).items():
        assert main(command) == 2
        message = capsys.readouterr().err
        assert f"contains {key}{'._target_' if isinstance(value, dict) else ''}=" in message
        assert reason in message
        assert f"ganrun {verb} {run}" in message
        assert not (cli.folder / "pwned").exists()


@pytest.fixture
def mine(cli):
    """A run of a class in the working folder."""
    (cli.folder / "mymodule.py").write_text(MINE)
    assert main(["train", *TINY, "model._target_=mymodule.Thing", "kimg=0.04", "folder=run"]) == 0
    yield cli.folder / "run"
    sys.modules.pop("mymodule")


def test_the_command_in_the_message_builds_a_class_of_ones_own(mine, capsys):
    for args in (["sample", "run"], ["resume", "run", "kimg=0.06"]):
        assert main(args) == 2
        command = capsys.readouterr().err.strip().splitlines()[-1].split("ganrun ")[-1]
        assert shlex.split(command) == [*args, "trust=true"]
        assert main(shlex.split(command)) == 0
    assert load_checkpoint(mine)["seen"]["images"] == 60


def test_an_environment_variable_in_the_config_is_read_when_sampling_with_trust(run, monkeypatch, capsys):
    good = load_checkpoint(run)
    set_key("model.generator_loss", "${oc.env:GANRUN_TEST_LOSS}", good["ganrun"]["config"])
    replace_checkpoint(run, saved_bytes(good))
    for value, message in ((None, "'GANRUN_TEST_LOSS' not found"), ("foo", "generator_loss=foo")):
        if value:
            monkeypatch.setenv("GANRUN_TEST_LOSS", value)
        assert main(["sample", str(run), "n=2", "trust=true"]) == 2
        assert message in capsys.readouterr().err
    monkeypatch.setenv("GANRUN_TEST_LOSS", "minimax")
    assert main(["sample", str(run), "n=2", "trust=true"]) == 0
    assert main(["sample", str(run), "n=2"]) == 2
    assert "GANRUN_TEST_LOSS}, which computes its value with a resolver" in capsys.readouterr().err
