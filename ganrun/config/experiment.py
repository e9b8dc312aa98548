"""The objects of a run, checked to fit together."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from ganrun.config import build, compatibility, schema
from ganrun.data.module import DataModule
from ganrun.models.base import Adversarial


@dataclass
class Job:
    """What a run works with. suite is None for metrics=none."""

    cfg: DictConfig
    data: DataModule
    model: Adversarial
    suite: Any


def make_job(cfg: DictConfig) -> Job:
    """Data, model and suite of a config; refuses what cannot work before anything is written."""
    schema.check(cfg)
    data = build.data_module(cfg)
    compatibility.needs(cfg, data)
    compatibility.networks(cfg, data)
    model = build.adversarial(cfg, data)
    compatibility.fit(cfg, model, data)
    build.trainer(cfg, logger=False)
    compatibility.compiling(cfg)
    return Job(cfg, data, model, build.made(cfg.metrics))
