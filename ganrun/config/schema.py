"""Every setting of conf/ once: which values it may have, and how resuming, sweeps, comparisons and HParams treat it."""

import re
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ganrun.config.value_types import (
    DEVICES,
    FLAG,
    SIZE,
    SPLITS,
    SPLITS_OR_NULL,
    TABLE,
    TEXT,
    TEXTS,
    ValueType,
    format_setting_value,
    number,
    one_of,
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


COUNT = number(least=1, whole=True)
POSITIVE, POSITIVE_OR_NULL = number(above=0), number(above=0, optional=True)
NOT_NEGATIVE = number(least=0)
# A key, or a pattern: * stands for one name, ** for names at any depth. The first entry that fits a key counts.
# Patterns are for groups that may name a user's own class, with any settings. The settings of ganrun's own are listed.
SETTINGS = {
    # ganrun train
    "seed": Setting(number(least=0, most=2**32 - 1, whole=True), compared=False, in_hparams=True),
    "kimg": Setting(POSITIVE, resumable=True, compared=True, in_hparams=True),
    "minutes": Setting(POSITIVE_OR_NULL, resumable=True, in_hparams=True),
    "batch_size": Setting(COUNT, in_hparams=True),
    "accumulate": Setting(COUNT, in_hparams=True),
    "ema.half_life_kimg": Setting(POSITIVE_OR_NULL, in_hparams=True),
    "ema.ramp_up": Setting(POSITIVE, in_hparams=True),
    "validate_kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "pictures_kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "checkpoint.kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "checkpoint.every_kimg": Setting(POSITIVE_OR_NULL, resumable=True),
    "checkpoint.keep": Setting(number(least=1, whole=True, optional=True), resumable=True),
    "clip": Setting(POSITIVE_OR_NULL, in_hparams=True),
    "channels_last": Setting(FLAG),
    "guard": Setting(one_of("stop", "skip"), resumable=True),
    "guard_skips": Setting(COUNT, resumable=True),
    "profile": Setting(FLAG, resumable=True),
    "log_every": Setting(COUNT, resumable=True),
    "folder": Setting(resumable=True),
    "parent": Setting(compared=False),
    "resume": Setting(FLAG, resumable=True),
    "dry_run": Setting(FLAG, resumable=True),
    "logger.**": Setting(resumable=True),
    "callbacks.**": Setting(resumable=True),
    # the choices in groups
    **{group: Setting(in_hparams=True) for group in ("model", "network", "optimizer", "schedule", "data")},
    # model
    "model.z_dim": Setting(COUNT, in_hparams=True),
    "model.classes": Setting(in_hparams=True),
    "model.generator_loss": Setting(in_hparams=True),
    "model.k": Setting(COUNT, in_hparams=True),
    "model.n_critic": Setting(COUNT, in_hparams=True),
    "model.c": Setting(POSITIVE, in_hparams=True),
    "model.cycle": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.identity": Setting(NOT_NEGATIVE, in_hparams=True),
    "model.pool": Setting(number(least=0, whole=True), in_hparams=True),
    "model.*": Setting(in_hparams=True),
    # network
    **{f"network.**.{name}": Setting() for name in ("shape", "z_dim", "classes")},  # follow from data and model
    "network.width": Setting(COUNT, in_hparams=True),
    "network.blocks": Setting(number(least=1, whole=True, optional=True), in_hparams=True),
    "network.generator.hidden": Setting(in_hparams=True),
    "network.generator.dropout": Setting(in_hparams=True),
    "network.discriminator.hidden": Setting(in_hparams=True),
    "network.discriminator.dropout": Setting(in_hparams=True),
    "network.discriminator.pieces": Setting(in_hparams=True),
    "network.discriminator.batch_norm": Setting(in_hparams=True),
    "network.**": Setting(in_hparams=True),
    # optimizer, schedule, first weights
    "optimizer.lr": Setting(POSITIVE, in_hparams=True),
    **{
        f"optimizer.{name}": Setting(in_hparams=True)
        for name in ("betas", "weight_decay", "momentum", "alpha", "fused", "foreach")
    },
    "optimizer.**": Setting(in_hparams=True),
    "schedule.start": Setting(number(least=0, most=1)),
    "schedule.end": Setting(NOT_NEGATIVE),
    "init.std": Setting(NOT_NEGATIVE),
    "init.gain": Setting(NOT_NEGATIVE),
    # data
    "data.root": Setting(TEXT),
    "data.size": Setting(SIZE),
    "data.channels": Setting(COUNT),
    "data.reference": Setting(SPLITS),
    "data.flip": Setting(FLAG),
    "data.device": Setting(one_of("auto", "cpu", "cuda"), resumable=True),
    "data.triples": Setting(COUNT),
    "data.near": Setting(POSITIVE),
    **{f"data.{name}": Setting() for name in ("name", "gives", "shape", "classes")},
    **{f"data.{name}": Setting() for name in ("fit", "crop", "bad_images", "attributes", "held_out")},
    **{f"data.{name}": Setting() for name in ("points", "modes", "radius", "side", "spacing", "sigma")},
    **{f"data.{name}": Setting() for name in ("dimensions", "directions", "deviation", "spread")},
    # metrics
    "metrics.mode": Setting(one_of("min", "max")),
    "metrics.samples": Setting(number(least=2, whole=True)),
    "metrics.batch_size": Setting(COUNT),
    **{f"metrics.{name}": Setting() for name in ("monitor", "scores", "final", "weights")},
    # ganrun eval; what a protocol fixes is named in this order
    "samples": Setting(number(least=2, whole=True, optional=True), fixed_by_protocol=True),
    "splits": Setting(SPLITS_OR_NULL, fixed_by_protocol=True),
    "metrics.extractor": Setting(fixed_by_protocol=True),
    "metrics.extractor.resize": Setting(),
    "metrics.reference": Setting(number(least=2, whole=True, optional=True), fixed_by_protocol=True),
    "metrics.keep": Setting(fixed_by_protocol=True),
    "copies": Setting(number(least=0, whole=True)),
    "pictures": Setting(TEXT),
    "against": Setting(TEXT),
    # trainer
    "trainer.accelerator": Setting(one_of("auto", "cpu", "gpu", "cuda", "mps"), resumable=True),
    "trainer.devices": Setting(DEVICES, resumable=True),
    "trainer.num_nodes": Setting(COUNT, resumable=True),
    "trainer.strategy": Setting(resumable=True),
    "trainer.precision": Setting(),
    "trainer.deterministic": Setting(FLAG),
    "trainer.benchmark": Setting(FLAG, resumable=True),
    "trainer.sync_batchnorm": Setting(FLAG),
    "trainer.compile": Setting(one_of("auto", "off", "graphs", "full"), resumable=True),
    "trainer.batches_per_step": Setting(COUNT, resumable=True),
    # sweep
    "sweep.sampler": Setting(one_of("grid", "tpe", "random", "sobol", "cmaes")),
    "sweep.metric": Setting(TEXT),
    "sweep.direction": Setting(one_of("min", "max", optional=True)),
    "sweep.seeds": Setting(number(least=1, whole=True, optional=True)),
    "sweep.trials": Setting(COUNT, in_sweep_identity=False),
    "sweep.storage": Setting(TEXT),
    "sweep.space": Setting(TABLE),
    "sweep.only": Setting(TEXTS),
    "sweep.pruner": Setting(one_of("median", "hyperband", optional=True)),
    "sweep.pruner_startup": Setting(COUNT),
    **{f"sweep.{name}": Setting(TEXT, in_sweep_identity=False) for name in ("name", "sbatch")},
    "sweep.jobs": Setting(COUNT, in_sweep_identity=False),
    "sweep.jobs_per_gpu": Setting(COUNT, in_sweep_identity=False),
    "sweep.fail_fast": Setting(COUNT, in_sweep_identity=False),
    "sweep.retries": Setting(number(least=0, whole=True), in_sweep_identity=False),
    "sweep.fresh": Setting(FLAG, in_sweep_identity=False),
    # the other commands
    "n": Setting(COUNT),
    "columns": Setting(COUNT),
    "size": Setting(one_of("auto", "keep", "data")),
    **{
        name: Setting() for name in ("run", "which", "branch", "trust", "device", "as", "classes", "input", "to", "out")
    },
}


def find_setting(key: str) -> Setting:
    """Return the entry of a setting, given its dotted key; a default entry if SETTINGS has none."""
    fitting = (setting for name, setting in SETTINGS.items() if "*" in name and fits(name, key))
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
    kind = "the number " if is_number and allowed is TEXT else ""
    raise UserError(
        f"{key} must be {allowed.description}, got {kind}{format_setting_value(value)}.{allowed.hint(key, value)}"
    )
