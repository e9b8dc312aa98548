"""The objects of a run, checked to fit together."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import Callback

from ganrun.config import build, compatibility, schema
from ganrun.data.module import DataModule
from ganrun.models.base import Adversarial


@dataclass
class Experiment:
    """What a run works with. suite is None for metrics=none; callbacks are in the order in which they act."""

    cfg: DictConfig
    data: DataModule
    model: Adversarial
    suite: Any
    callbacks: list[Callback]


def build_experiment(cfg: DictConfig) -> Experiment:
    """Data, model and suite of a config; refuses what cannot work before anything is written."""
    schema.check_values(cfg)
    data = build.build_data(cfg)
    compatibility.check_batch_keys(cfg, data)
    compatibility.check_network_settings(cfg, data)
    model = build.build_model(cfg, data)
    compatibility.check_losses(cfg, model, data)
    build.build_trainer(cfg, logger=False)
    compatibility.check_compile(cfg)
    return Experiment(cfg, data, model, build.instantiate_optional(cfg.metrics), build.build_callbacks(cfg))
