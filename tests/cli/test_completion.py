"""Completions of single lines, and the completion scripts in real shells."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ganrun.cli import completion
from ganrun.cli.main import VERBS


@pytest.fixture
def complete(cli, monkeypatch):
    def complete(line, shell="fish"):
        monkeypatch.setenv("COMP_LINE", line)
        return completion.complete_line(shell, VERBS).splitlines()

    return complete


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ganrun tr", ["train", "translate"]),
        ("ganrun --v", ["--version"]),
        ("ganrun train mod", ["model.", "model="]),
        ("ganrun train model=", ["model=dcgan", "model=wgan"]),
        ("ganrun train model=w", ["model=wgan"]),
        ("ganrun train -m model=dcgan,w", ["model=dcgan,wgan"]),
        ("ganrun train data=ring ki", ["kimg="]),
        ("ganrun train model=wgan model.", ["model._target_=", "model.c=", "model.z_dim="]),
        ("ganrun train optimizer.l", ["optimizer.lr="]),
        ("ganrun train hydra.sweep.", ["hydra.sweep.dir=", "hydra.sweep.subdir="]),
        ("ganrun train --multi", ["--multirun"]),
        ("ganrun train kimg=[1,2 mod", []),
        ("ganrun list m", ["metrics", "model"]),
        ("ganrun eval ", ["last"]),
        ("ganrun eval last whi", ["which="]),
        ("ganrun eval last protocol=", ["protocol=fid50k"]),
        ("ganrun eval --fol", ["--folder"]),
        ("ganrun train --fol", []),
        ("ganrun eval --folder it's --against it's whi", ["which="]),
        ("ganrun eval pictures=a against=b metrics=l", ["metrics=lenet"]),
        ("ganrun nonsense ", []),
        ("ganrun st", ["status", "stop"]),
        ("ganrun q", ["quiz"]),
        ("ganrun runs ", ["clean", "diff", "du", "rm", "state=", "tag", "tag="]),
        ("ganrun runs --", ["--help", "--json", "--yes"]),
        ("ganrun runs rm ", ["last"]),
        ("ganrun runs diff a la", ["last"]),
        ("ganrun stop l", ["last"]),
        ("ganrun stop last ", ["limit=", "now="]),
        ("ganrun logs last -", ["--follow", "--help"]),
    ],
)
def test_a_line_is_completed(complete, line, expected):
    assert complete(line) == expected


def test_all_groups_and_keys_are_completed_except_those_of_hydra(complete):
    names = complete("ganrun train ")
    assert {"model=", "data=", "kimg=", "ema."} <= set(names)
    assert not any(name.startswith(("hydra", "run")) for name in names)


def test_runs_with_checkpoints_are_completed(complete, cli):
    for name in ("a b", "2026-01-01"):
        (cli.folder / "outputs" / "train" / "dcgan-digits" / name / "checkpoints").mkdir(parents=True)
    (cli.folder / "outputs" / "eval" / "x" / "y").mkdir(parents=True)
    start = "outputs/train/dcgan-digits"
    assert complete("ganrun eval out") == [f"{start}/2026-01-01", f"{start}/a b"]
    assert complete(f"ganrun eval {start}/a\\ ", "bash") == [f"{start}/a\\ b "]


def test_all_runs_are_completed_for_commands_that_look_after_them(complete, cli):
    for name in ("outputs/a", "outputs/sweeps/s/0-seed-1"):
        (cli.folder / name).mkdir(parents=True)
        (cli.folder / name / "status.json").touch()
    assert complete("ganrun runs rm ") == ["last", "outputs/a", "outputs/sweeps/s/0-seed-1"]
    assert complete("ganrun status outputs/s") == ["outputs/sweeps/s/0-seed-1"]


def test_folders_are_completed_after_the_flags_of_eval(complete, cli):
    for name in ("fakes", "faces"):
        (cli.folder / name).mkdir()
    assert complete("ganrun eval --folder fa") == ["faces/", "fakes/"]
    assert complete("ganrun eval --folder fakes --against fac") == ["faces/"]


def test_a_group_with_subfolders_is_completed_with_its_equals_sign(complete, cli):
    cli.write(cli.conf, {"data/base/downloaded": "size: 1\n"})
    assert complete("ganrun train dat") == ["data.", "data="]


def test_configs_of_the_user_are_completed(complete, cli, tmp_path):
    cli.write(tmp_path / "own", {"model/mine": "# Mine\n"})
    assert complete(f"ganrun train -cd {tmp_path}/own model=m") == ["model=mine"]


@pytest.fixture
def shell(tmp_path):
    """Runs a script in a shell in which `ganrun` is the real command."""
    program = tmp_path / "bin" / "ganrun"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ganrun "$@"\n')
    program.chmod(0o755)
    source, path = str(Path(completion.__file__).parents[2]), f"{program.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": source, "HOME": str(tmp_path)}

    def shell(name, *arguments):
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")
        result = subprocess.run([name, *arguments], capture_output=True, text=True, env=env, cwd=tmp_path, timeout=60)
        assert result.stderr == ""
        return result.stdout.splitlines()

    return shell


BASH = """
eval "$(ganrun -sc install=bash)"
ask() {{ COMP_LINE="$1" COMP_POINT=${{#1}} COMP_WORDS=($1); _ganrun; printf '%s|\\n' "${{COMPREPLY[@]}}"; }}
{breaks}
ask "ganrun tra"
ask "ganrun train model=cyc"
complete -p ganrun
eval "$(ganrun -sc uninstall=bash)"
complete -p ganrun 2>/dev/null || echo gone
"""


@pytest.mark.parametrize(
    ("breaks", "choice"), [("", "cyclegan |"), ("COMP_WORDBREAKS=${COMP_WORDBREAKS//=}", "model=cyclegan |")]
)
def test_bash_completes(shell, breaks, choice):
    lines = shell("bash", "--norc", "-c", BASH.format(breaks=breaks))
    bash = "complete -o nospace -o default -F _ganrun ganrun", "complete -o default -o nospace -F _ganrun ganrun"
    assert lines[:3] == ["train |", "translate |", choice]
    assert lines[3] in bash
    assert lines[4] == "gone"


ZSH = """
eval "$(ganrun -sc install=zsh)"
compadd() { shift 4; print -rl -- "${@/%/|}"; }
ask() { words=("$@"); CURRENT=$#; PREFIX="${@[-1]}"; _ganrun; }
ask ganrun tra
ask ganrun train model=cyc
ask ganrun nonsense x
print ${_comps[ganrun]}
eval "$(ganrun -sc uninstall=zsh)"
print "gone ${_comps[ganrun]}"
"""


def test_zsh_completes(shell):
    assert shell("zsh", "-f", "-c", ZSH) == ["train |", "translate |", "model=cyclegan |", "_ganrun", "gone "]


FISH = """
ganrun -sc install=fish | source
complete -C "ganrun tra"
complete -C "ganrun train model=cyc"
ganrun -sc uninstall=fish | source
functions -q _ganrun; or echo gone
"""


def test_fish_completes(shell):
    assert shell("fish", "--no-config", "-c", FISH) == ["train", "translate", "model=cyclegan", "gone"]
