"""A small cli to try the command line in: its own configs, and commands that only note how they were called."""

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from omegaconf import OmegaConf

from ganrun import files
from ganrun.cli.main import main

HYDRA = (Path(files.__file__).parent.parent / "conf" / "run" / "hydra.yaml").read_text()
CONF = {
    "run/hydra": HYDRA,
    "train": """\
# Train a model on a data set.
#
#   ganrun train model=wgan
defaults:
  - _self_
  - run: hydra
  - model: dcgan
  - data: digits
  - optional experiment: null

seed: 0  # seeds everything
kimg: 5  # thousands of images
need: ???  # has no value
folder: outputs/train/${hydra:runtime.choices.model}/${now:%Y-%m-%d-%H%M%S}  # the run folder
ema:
  ramp_up: 0.05  # share of the images seen
""",
    "eval": """\
# Score a run.
#
#   ganrun eval last
defaults:
  - _self_
  - run: hydra
  - optional metrics: null
  - optional protocol: null
run: ???
which: last  # or best
pictures: null  # a folder
against: null  # another
""",
    "metrics/inception": "# FID\nresize: tf1  # how\n",
    "metrics/lenet": "# Digits\n",
    "protocol/fid50k": """\
# @package _global_
# As papers do
defaults:
  - _self_
  - override /metrics: inception
metrics:
  resize: clean
""",
    "model/dcgan": """\
# @package _global_
# Deep convolutional GAN
defaults:
  - /network: mlp
  - /optimizer: adam
  - _self_
model:
  _target_: mine.Model
  z_dim: 100  # length of the noise
""",
    "model/wgan": """\
# @package _global_
# Wasserstein GAN
defaults:
  - dcgan
  - _self_
model:
  c: 0.01  # the clamp
""",
    "network/mlp": "# Fully connected\nwidth: 64  # units of a layer\n",
    "network/cnn": "# Convolutional\nwidth: 32  # channels\n",
    "optimizer/adam": "# Adam\nlr: 0.1  # learning rate\n",
    "data/digits": "# Digits\nroot: null  # where the pictures are\n",
    "data/ring": "# Eight Gaussians on a ring\nroot: null\n",
    "experiment/digits": "# @package _global_\n# DCGAN tuned for digits\nkimg: 7\n",
}


def write_configs(folder: Path, configs: dict[str, str]) -> Path:
    for name, text in configs.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """`cli.run(...)` calls `ganrun` with small configs, in the empty working folder `cli.folder`.

    The commands are fakes: each call appends to `cli.jobs` and calls `cli.work(cfg, folder)`.
    """
    conf = write_configs(tmp_path / "conf", CONF)
    monkeypatch.setattr(files, "conf_dir", lambda: conf)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("GANRUN_FOLDER", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    cli = SimpleNamespace(conf=conf, folder=work, jobs=[], work=lambda cfg, folder: None)
    cli.run = lambda *args: main(args)
    cli.write = write_configs

    def command(cfg, folder):
        note = SimpleNamespace(cfg=OmegaConf.to_container(cfg), folder=folder, argv=sys.argv[1:], env=dict(os.environ))
        cli.jobs.append(note)
        cli.work(cfg, folder)

    for verb in ("train", "eval", "sample", "translate"):
        module = ModuleType(f"ganrun.cli.commands.{verb}")
        module.run = command
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return cli
