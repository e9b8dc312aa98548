"""The texts of --help and list come from the configs, and are printed fast."""

import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from ganrun import files
from ganrun.cli.main import VERBS
from ganrun.config import docs

REAL = Path(files.__file__).parent.parent


def test_help_of_a_command_shows_examples_groups_and_settings(cli, capsys):
    assert cli.run("train", "--help") == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: ganrun train [key=value ...]\n\nTrain a model on a data set.")
    assert "  ganrun train model=wgan\n" in text
    assert "model=" in text
    assert "[dcgan], wgan" in text
    assert "optimizer=" in text
    assert "  seed=0                            seeds everything\n" in text
    assert "  ema.ramp_up=0.05                  share of the images seen\n" in text
    assert "run=" not in text
    assert "--multirun" in text


def test_help_with_a_choice_adds_its_settings(cli, capsys):
    assert cli.run("train", "-h", "model=wgan", "data=ring") == 0
    text = capsys.readouterr().out
    assert "settings of model=wgan\n  model.z_dim=100  length of the noise\n  model.c=0.01     the clamp\n" in text
    assert "settings of data=ring\n  data.root=null\n" in text


def test_help_of_eval_shows_the_protocols(cli, capsys):
    assert cli.run("eval", "--help", "protocol=fid50k") == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: ganrun eval RUN [key=value ...]\n\nScore a run.")
    assert "protocol=  fid50k\n" in text
    assert "settings of protocol=fid50k\n  metrics.resize=clean\n" in text


def test_list_shows_each_choice_in_one_line(cli, tmp_path, capsys):
    cli.write(tmp_path / "own", {"model/mine": "# @package _global_\n\n", "toy/one": "# A toy\n"})
    assert cli.run("list", "model", "--config-dir", str(tmp_path / "own")) == 0
    assert capsys.readouterr().out == "model=\n  dcgan  Deep convolutional GAN\n  mine\n  wgan   Wasserstein GAN\n"
    assert cli.run("list", "-cd", str(tmp_path / "own")) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if line.endswith("=")][:6] == [
        *("model=", "network=", "data="),
        *("metrics=", "protocol=", "experiment="),
    ]
    assert "toy=\n  one  A toy\n" in text
    assert "run=" not in text


def test_comments_and_nested_keys_are_parsed_from_the_yaml(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        "# Head\n#   more\n\ndefaults:\n  - _self_\n  - optional /data@d: ring  # why\nempty:\na:\n"
        "  b: '#1'  # word # two\n"
        "  c:\n    d: [1, 2]\n_target_: x\nlist:\n  - 1\ne: ${a}\nlast: null\n"
    )
    assert docs.header_comment(path) == ["Head", "  more"]
    assert docs.default_choices(path) == {"data": "ring"}
    keys = {key.name: (key.default, key.comment) for key in docs.documented_keys(path)}
    assert keys == {"a.b": ("'#1'", "word # two"), "a.c.d": ("[1, 2]", ""), "last": ("null", "")}


def ganrun(*args, cwd=None):
    return subprocess.run([sys.executable, "-m", "ganrun", *args], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_the_overview_lists_all_commands(args):
    result = ganrun(*args)
    assert result.returncode == 0
    assert all(f"  {verb}" in result.stdout for verb in VERBS)
    assert "ganrun train model=cgan data=digits" in result.stdout
    assert result.stderr == ""


def test_version_prints_the_version_of_the_package():
    from ganrun import __version__

    assert ganrun("--version").stdout == f"ganrun {__version__}\n"


@pytest.mark.parametrize("group", docs.group_names([REAL / "conf"]))
def test_each_config_has_a_summary_line(group):
    for name, path in docs.group_choices(group, [REAL / "conf"]).items():
        assert len(docs.one_line_summary(path)) > 3, f"{group}={name} does not begin with a comment"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if (REAL / "conf" / f"{verb}.yaml").exists()])
def test_each_setting_has_a_comment_and_each_command_an_example(verb):
    path = REAL / "conf" / f"{verb}.yaml"
    assert [key.name for key in docs.documented_keys(path) if not key.comment] == []
    assert any(line.startswith(f"  ganrun {verb}") for line in docs.header_comment(path))
    assert ganrun(verb, "--help").returncode == 0


def test_a_closed_pipe_is_not_an_error():
    command = f"{sys.executable} -m ganrun list | head -n 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


HEAVY = "sorted({'torch', 'hydra', 'yaml', 'omegaconf', 'rich', 'numpy'} & set(sys.modules))"


@pytest.mark.parametrize("args", [[], ["--version"], ["list"], ["train", "--help"], ["list", "model"]])
def test_help_imports_no_heavy_packages(args):
    code = f"import sys; from ganrun.cli.main import main; main({args}); sys.exit(str({HEAVY}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr.strip() == "[]"


def cpu_seconds(arguments: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env={**os.environ})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "limit"), [([], 0.5), (["--version"], 0.5), (["list"], 1.5), (["train", "--help"], 1.5)]
)
def test_help_takes_little_time_compared_with_importing_hydra(args, limit):
    cpu_seconds(["-m", "ganrun", *args])
    pairs = [(cpu_seconds(["-m", "ganrun", *args]), cpu_seconds(["-c", "import hydra"])) for _ in range(5)]
    assert statistics.median(ours / hydra for ours, hydra in pairs) <= limit
