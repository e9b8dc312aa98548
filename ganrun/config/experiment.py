"""From a config to the objects of a run, in one pass: values, data, model, hardware, trainer settings, scores."""

import logging
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig

from ganrun.config import build, compatibility, memory, schema
from ganrun.config.hardware import Hardware, check_hardware, count_devices, resolve_hardware
from ganrun.config.trainer_arguments import check_trainer_arguments
from ganrun.config.unused import check_network_parts
from ganrun.data.keys import kinds_needed
from ganrun.data.module import DataModule
from ganrun.models.base import Adversarial

log = logging.getLogger(__name__)


@dataclass
class Experiment:
    """A config and the objects built from it.

    suite: computes the scores; None for metrics=none, or if it has none of this model and these data.
    callbacks: in the order in which they act.
    """

    cfg: DictConfig
    data: DataModule
    model: Adversarial
    suite: Any
    callbacks: list[pl.Callback]
    hardware: Hardware

    def build_trainer(self, **arguments) -> pl.Trainer:
        """Return Lightning's Trainer. arguments: callbacks, logger, plugins ..., as the Trainer takes them."""
        return build.build_trainer(self.cfg, self.hardware, **arguments)

    def load_data(self) -> None:
        """Read the data, and from it what the scores need. Raises UserError if the data do not fit the config."""
        self.data.batches_per_step = self.cfg.trainer.get("batches_per_step", 1)  # runs of version 0.1 may have none
        self.data.prepare_data()
        self.data.setup()
        compatibility.check_loaded_data(self.cfg, self.data)
        if self.suite:
            compatibility.check_monitor(self.suite, self.suite.names(self.model, self.data))
            self.suite.prepare(self.data, torch.device("cuda" if self.hardware.uses_cuda else "cpu"))


def build_experiment(cfg: DictConfig, begun_precision: str | None = None) -> Experiment:
    """Return the experiment of a config. Raises UserError for what cannot work, before anything is written.

    begun_precision: what trainer.precision=auto chose when the run began; None for a new run.
    """
    data, model = build_data_and_model(cfg)
    memory.check_memory(cfg, model)
    hardware = resolve_hardware(cfg, begun_precision)
    check_hardware(cfg.trainer, hardware)
    compatibility.check_accumulation(cfg, model, count_devices(cfg.trainer))
    build.build_trainer(cfg, hardware, logger=False)  # the Trainer itself refuses wrong settings
    suite, callbacks = build.instantiate_optional(cfg.metrics), build.build_callbacks(cfg)
    if suite is not None and (reason := suite.explain_no_scores(model, data)):
        log.info("%s This run has no scores.", reason)
        suite = None
    if suite is None:
        cfg.metrics.monitor = None  # of the model or the data, whose scores are not measured
    return Experiment(cfg, data, model, suite, callbacks, hardware)


def build_data_and_model(cfg: DictConfig) -> tuple[DataModule, Adversarial]:
    """Return the data and the model of a config, on whatever hardware it is to run. Raises like `build_experiment`."""
    schema.check_values(cfg)
    compatibility.check_complete(cfg)
    check_trainer_arguments(cfg.trainer)
    data = build.build_data(cfg)
    compatibility.check_batch_keys(cfg, data)
    compatibility.drop_unused_networks(cfg)
    check_network_parts(cfg)
    compatibility.check_model_settings(cfg)
    compatibility.check_network_settings(cfg, data)
    model = compatibility.build_fitting_model(cfg, data)
    data.wanted = tuple(kinds_needed(model.needs))
    return data, model
