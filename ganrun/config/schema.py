"""Every setting of conf/ once: which values it may have, and how resuming, sweeps, comparisons and HParams treat it."""

import re
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.config.value_types import (
    DEVICES,
    FLAG,
    SPLITS,
    SPLITS_OR_NULL,
    TABLE,
    TEXTS,
    Number,
    OneOf,
    Text,
    ValueType,
    format_setting_value,
)
from ganrun.errors import UserError


@dataclass(frozen=True)
class Setting:
    """What ganrun knows of a setting.

    allowed: the values that it may have; None: the class that takes the setting checks them.
    resumable: `ganrun resume` may change it; it decides how long, where or how verbosely a run goes on, not its result.
    compared: `ganrun compare` tells runs apart by it; None: unless it is resumable.
    in_sweep_identity: a setting of `sweep` that makes another sweep when it changes.
    fixed_by_protocol: a score claims the name of its evaluation protocol only with the protocol's own value.
    in_hparams: it is a column of TensorBoard's HParams table.
    """

    allowed: ValueType | None = None
    resumable: bool = False
    compared: bool | None = None
    in_sweep_identity: bool = True
    fixed_by_protocol: bool = False
    in_hparams: bool = False

    @property
    def is_compared(self) -> bool:
        return not self.resumable if self.compared is None else self.compared


COUNT = Number(least=1, whole=True)
POSITIVE, POSITIVE_OR_NULL = Number(above=0), Number(above=0, optional=True)
NOT_NEGATIVE = Number(least=0)
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")
# A key, or a pattern: * stands for one name, ** for names at any depth. The first entry that fits a key counts.
# Patterns are for groups that may name a user's own class, with any settings. The settings of ganrun's own are listed.
SETTINGS = {
    # ganrun train
    "seed": Setting(Number(least=0, most=2**32 - 1, whole=True), compared=False, in_hparams=True),
    "kimg": Setting(POSITIVE, resumable=True, compared=True, in_hparams=True),
    "minutes": Setting(POSITIVE_OR_NULL, resumable=True, in_hparams=True),
    "batch_size": Setting(COUNT, in_hparams=True),
    "ema.half_life_kimg": Setting(POSITIVE_OR_NULL, in_hparams=True),
    "ema.ramp_up": Setting(POSITIVE, in_hparams=True),
    "validate_kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "pictures_kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "checkpoint.kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "checkpoint.every_kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "checkpoint.keep": Setting(Number(least=1, whole=True, optional=True), resumable=True),
    "clip": Setting(POSITIVE_OR_NULL, in_hparams=True),
    "channels_last": Setting(FLAG),
    "guard": Setting(OneOf(("stop", "skip")), resumable=True),
    "guard_skips": Setting(COUNT, resumable=True),
    "profile": Setting(FLAG, resumable=True),
    "log_every": Setting(COUNT, resumable=True),
    "folder": Setting(resumable=True),
    "parent": Setting(compared=False),
    "resume": Setting(FLAG, resumable=True),
    "dry_run": Setting(FLAG, resumable=True),
    "logger.**": Setting(resumable=True),
    "callbacks.**": Setting(resumable=True),
    # model; the key of a group alone is the choice in that group
    "model": Setting(in_hparams=True),
    "model.z_dim": Setting(COUNT, in_hparams=True),
    "model.classes": Setting(in_hparams=True),
    "model.generator_loss": Setting(in_hparams=True),
    "model.k": Setting(COUNT, in_hparams=True),
    "model.n_critic": Setting(COUNT, in_hparams=True),
    "model.c": Setting(POSITIVE, in_hparams=True),
    "model.cycle": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.identity": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.pool": Setting(Number(least=0, whole=True), in_hparams=True),
    "model.*": Setting(in_hparams=True),
    # network
    "network": Setting(in_hparams=True),
    "network.**.shape": Setting(),  # follows from the data, as do the next two from data and model
    "network.**.z_dim": Setting(),
    "network.**.classes": Setting(),
    "network.width": Setting(COUNT, in_hparams=True),
    "network.blocks": Setting(Number(least=1, whole=True, optional=True), in_hparams=True),
    "network.generator.hidden": Setting(in_hparams=True),
    "network.generator.dropout": Setting(in_hparams=True),
    "network.discriminator.hidden": Setting(in_hparams=True),
    "network.discriminator.dropout": Setting(in_hparams=True),
    "network.discriminator.pieces": Setting(in_hparams=True),
    "network.discriminator.batch_norm": Setting(in_hparams=True),
    "network.**": Setting(in_hparams=True),
    # optimizer, schedule, first weights
    "optimizer": Setting(in_hparams=True),
    "optimizer.lr": Setting(POSITIVE, in_hparams=True),
    "optimizer.betas": Setting(in_hparams=True),
    "optimizer.weight_decay": Setting(in_hparams=True),
    "optimizer.momentum": Setting(in_hparams=True),
    "optimizer.alpha": Setting(in_hparams=True),
    "optimizer.fused": Setting(in_hparams=True),
    "optimizer.foreach": Setting(in_hparams=True),
    "optimizer.**": Setting(in_hparams=True),
    "schedule": Setting(in_hparams=True),
    "schedule.start": Setting(Number(least=0, most=1)),
    "schedule.end": Setting(NOT_NEGATIVE),
    "init.std": Setting(NOT_NEGATIVE),
    "init.gain": Setting(NOT_NEGATIVE),
    # data
    "data": Setting(in_hparams=True),
    "data.name": Setting(),
    "data.root": Setting(Text()),
    "data.gives": Setting(),
    "data.shape": Setting(),
    "data.size": Setting(COUNT),
    "data.channels": Setting(COUNT),
    "data.classes": Setting(),
    "data.reference": Setting(SPLITS),
    "data.flip": Setting(FLAG),
    "data.device": Setting(OneOf(("auto", "cpu", "cuda")), resumable=True),
    "data.fit": Setting(),
    "data.crop": Setting(),
    "data.bad_images": Setting(),
    "data.attributes": Setting(),
    "data.held_out": Setting(),
    "data.triples": Setting(COUNT),
    "data.points": Setting(),
    "data.modes": Setting(),
    "data.radius": Setting(),
    "data.side": Setting(),
    "data.spacing": Setting(),
    "data.sigma": Setting(),
    "data.dimensions": Setting(),
    "data.directions": Setting(),
    "data.near": Setting(POSITIVE),
    "data.deviation": Setting(),
    "data.spread": Setting(),
    # metrics
    "metrics.monitor": Setting(),
    "metrics.mode": Setting(OneOf(("min", "max"))),
    "metrics.scores": Setting(),
    "metrics.final": Setting(),
    "metrics.samples": Setting(Number(least=2, whole=True)),
    "metrics.batch_size": Setting(COUNT),
    "metrics.weights": Setting(),
    # ganrun eval; what a protocol fixes is named in this order
    "samples": Setting(Number(least=2, whole=True, optional=True), fixed_by_protocol=True),
    "splits": Setting(SPLITS_OR_NULL, fixed_by_protocol=True),
    "metrics.extractor": Setting(fixed_by_protocol=True),
    "metrics.extractor.resize": Setting(),
    "metrics.reference": Setting(Number(least=2, whole=True, optional=True), fixed_by_protocol=True),
    "metrics.keep": Setting(fixed_by_protocol=True),
    "copies": Setting(Number(least=0, whole=True)),
    "pictures": Setting(Text()),
    "against": Setting(Text()),
    # trainer
    "trainer.accelerator": Setting(OneOf(ACCELERATORS), resumable=True),
    "trainer.devices": Setting(DEVICES, resumable=True),
    "trainer.num_nodes": Setting(COUNT, resumable=True),
    "trainer.strategy": Setting(resumable=True),
    "trainer.precision": Setting(),
    "trainer.deterministic": Setting(FLAG),
    "trainer.benchmark": Setting(FLAG, resumable=True),
    "trainer.sync_batchnorm": Setting(FLAG),
    "trainer.compile": Setting(OneOf(("auto", "off", "graphs", "full")), resumable=True),
    "trainer.batches_per_step": Setting(COUNT, resumable=True),
    # sweep
    "sweep.sampler": Setting(OneOf(("grid", "tpe", "random", "sobol", "cmaes"))),
    "sweep.name": Setting(Text(), in_sweep_identity=False),
    "sweep.metric": Setting(Text()),
    "sweep.direction": Setting(OneOf(("min", "max"), optional=True)),
    "sweep.seeds": Setting(Number(least=1, whole=True, optional=True)),
    "sweep.trials": Setting(COUNT, in_sweep_identity=False),
    "sweep.storage": Setting(Text()),
    "sweep.space": Setting(TABLE),
    "sweep.only": Setting(TEXTS),
    "sweep.pruner": Setting(OneOf(("median", "hyperband"), optional=True)),
    "sweep.pruner_startup": Setting(COUNT),
    "sweep.jobs": Setting(COUNT, in_sweep_identity=False),
    "sweep.jobs_per_gpu": Setting(COUNT, in_sweep_identity=False),
    "sweep.sbatch": Setting(Text(), in_sweep_identity=False),
    "sweep.retries": Setting(Number(least=0, whole=True), in_sweep_identity=False),
    "sweep.fail_fast": Setting(COUNT, in_sweep_identity=False),
    "sweep.fresh": Setting(FLAG, in_sweep_identity=False),
    # the other commands
    "run": Setting(),
    "which": Setting(),
    "branch": Setting(),
    "trust": Setting(),
    "device": Setting(),
    "n": Setting(COUNT),
    "as": Setting(),
    "classes": Setting(),
    "columns": Setting(COUNT),
    "input": Setting(),
    "to": Setting(),
    "out": Setting(),
}


def find_setting(key: str) -> Setting:
    """Return what is known of a setting by its dotted key; the defaults for one that has no entry."""
    fitting = (setting for name, setting in SETTINGS.items() if fits(name, key))
    return SETTINGS.get(key) or next(fitting, Setting())


def fits(name: str, key: str) -> bool:
    """Return whether a name in SETTINGS, which may be a pattern, stands for a key."""
    pattern = re.escape(name).replace(r"\*\*\.", r"(.+\.)?").replace(r"\*\*", ".+").replace(r"\*", r"[^.]+")
    return re.fullmatch(pattern, key) is not None


def check_values(cfg: DictConfig) -> None:
    """Raise UserError if the value of a setting has the wrong type or is out of range."""
    absent = object()
    for key in (key for key, setting in SETTINGS.items() if setting.allowed):
        value = OmegaConf.select(cfg, key, default=absent)
        if value is not absent:
            check_value(key, value)


def check_value(key: str, value: Any) -> None:
    """Raise UserError if the setting may not have this value."""
    allowed = SETTINGS[key].allowed
    if allowed is None or allowed.admits(value):
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = "the number " if is_number and isinstance(allowed, Text) else ""
    raise UserError(f"{key} must be {allowed}, got {kind}{format_setting_value(value)}.{allowed.hint(key, value)}")
