"""Every setting of conf/ once: which values it may have, and how resuming, sweeps, comparisons and HParams treat it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ganrun.config import value_types as types
from ganrun.config.json_forms import MAX_THREADS
from ganrun.config.schema_models import MODEL_SETTINGS
from ganrun.config.setting import NOT_NEGATIVE, POSITIVE, POSITIVE_OR_NULL, SHAPE, WHOLE_OR_NULL, Setting
from ganrun.config.value_types import COUNT, FLAG, NAME, OBJECT, TABLE, TEXT, list_of, number, one_of
from ganrun.errors import UserError

KIMG_OR_NULL = number(above=0, optional=True, usable=(0.001, types.MAX_KIMG))  # from one image
SEED = number(least=0, most=2**32 - 1, whole=True)
IN_HPARAMS = ("model", "network", "loss", "optimizer", "schedule", "data")  # groups whose choice is shown
OF_MODEL = ("model", "network", "loss", "regularizer", "optimizer", "schedule", "init")
GROUPS = (*OF_MODEL, "data", "metrics", "trainer", "logger", "callbacks")
OWN_CLASSES = ("ganrun.", "torch.", "pytorch_lightning.")
# A key, or a pattern: * stands for one name, ** for names at any depth. The first entry that fits a key counts.
# Patterns are for groups that may name a user's own class, with any settings. The settings of ganrun's own are listed.
SETTINGS: dict[str, Setting] = {
    # ganrun train
    "seed": Setting(SEED, compared=False, in_hparams=True),
    "kimg": Setting(types.LENGTH, resumable=True, compared=True, in_hparams=True),
    "minutes": Setting(number(above=0, optional=True, usable=(0, 1e7)), resumable=True, in_hparams=True),
    "batch_size": Setting(COUNT, in_hparams=True),
    "accumulate": Setting(COUNT, in_hparams=True),
    **{name: Setting(TABLE) for name in ("ema", "checkpoint", "optimizers", "optimizers.*")},
    "ema.half_life_kimg": Setting(POSITIVE_OR_NULL, in_hparams=True),
    "ema.ramp_up": Setting(POSITIVE, in_hparams=True),
    "validate_kimg": Setting(KIMG_OR_NULL, resumable=True),
    "pictures_kimg": Setting(KIMG_OR_NULL, resumable=True),
    "checkpoint.kimg": Setting(KIMG_OR_NULL, resumable=True),
    "checkpoint.every_kimg": Setting(KIMG_OR_NULL, resumable=True),
    "checkpoint.keep": Setting(WHOLE_OR_NULL, resumable=True),
    "clip": Setting(POSITIVE_OR_NULL, in_hparams=True),
    "channels_last": Setting(FLAG),
    "guard": Setting(one_of("stop", "skip"), resumable=True),
    "guard_skips": Setting(COUNT, resumable=True),
    **{name: Setting(one_of("continue", "stop"), resumable=True) for name in ("on_collapse", "on_diverge")},
    "profile": Setting(FLAG, resumable=True),
    "log_every": Setting(COUNT, resumable=True),
    "folder": Setting(TEXT, resumable=True),
    "init_from": Setting(types.NAME_OR_NULL),
    "parent": Setting(types.NAME_OR_NULL, compared=False),
    "started_in": Setting(types.NAME_OR_NULL, resumable=True, compared=False),
    "resume": Setting(FLAG, resumable=True),
    "dry_run": Setting(FLAG, resumable=True),
    # the groups
    **{group: Setting(types.TABLE_OR_NULL, in_hparams=group in IN_HPARAMS) for group in GROUPS},
    "logger.save_dir": Setting(NAME, True, resumable=True),
    "logger.name": Setting(TEXT, True, resumable=True),
    "logger.version": Setting(types.TEXT_OR_WHOLE, True, resumable=True),
    "logger.project": Setting(TEXT, True, resumable=True),
    "logger.default_hp_metric": Setting(FLAG, True, resumable=True),
    "logger.offline": Setting(FLAG, True, resumable=True),
    "logger.**": Setting(resumable=True),
    **{name: Setting(resumable=True) for name in ("more_loggers", "more_loggers.**")},
    "callbacks.random_states.seed": Setting(SEED, True, resumable=True),
    "callbacks.length.kimg": Setting(types.LENGTH, True, resumable=True),
    "callbacks.length.minutes": Setting(POSITIVE_OR_NULL, True, resumable=True),
    "callbacks.nan_guard.every": Setting(COUNT, True, resumable=True),
    "callbacks.nan_guard.mode": Setting(one_of("stop", "skip"), True, resumable=True),
    "callbacks.nan_guard.skips": Setting(COUNT, True, resumable=True),
    "callbacks.loss_curves.every": Setting(COUNT, True, resumable=True),
    "callbacks.evaluation.max_share": Setting(number(least=0, most=1), True, resumable=True),
    **{
        f"callbacks.stopping.{name}": Setting(one_of("continue", "stop"), True, resumable=True)
        for name in ("on_collapse", "on_diverge")
    },
    "callbacks.progress.seconds": Setting(POSITIVE, True, resumable=True),
    "callbacks.checkpointing.keep": Setting(WHOLE_OR_NULL, True, resumable=True),
    "callbacks.checkpointing.kimg": Setting(KIMG_OR_NULL, True, resumable=True),
    "callbacks.*.every_kimg": Setting(KIMG_OR_NULL, True, resumable=True),
    "callbacks.**": Setting(resumable=True),
    **{f"{node}._target_": Setting(types.CLASS_NAME) for node in ("model", "optimizer", "data", "data.source")},
    **MODEL_SETTINGS,
    # optimizer, schedule, first weights
    **{f"optimizer.{name}": Setting(allowed, True, in_hparams=True) for name, allowed in types.OPTIMIZER.items()},
    "optimizers.generator.lr": Setting(types.OPTIMIZER["lr"], True),  # of BiGAN
    "optimizer.**": Setting(in_hparams=True),
    "schedule.start": Setting(number(least=0, most=1)),
    "schedule.end": Setting(NOT_NEGATIVE),
    "init.std": Setting(NOT_NEGATIVE),
    "init.gain": Setting(NOT_NEGATIVE),
    # data
    "data.root": Setting(types.ROOT, resumable=True, compared=True),  # the content counts
    "data.size": Setting(types.SIZE),
    "data.channels": Setting(COUNT),
    "data.reference": Setting(types.SPLITS),
    "data.flip": Setting(FLAG),
    "data.limit": Setting(WHOLE_OR_NULL, in_hparams=True),
    "data.device": Setting(one_of("auto", "cpu", "cuda"), resumable=True),
    **{f"data.{name}": Setting(COUNT) for name in ("triples", "count")},
    "data.objects": Setting(number(least=1, most=2, whole=True)),
    "data.near": Setting(POSITIVE),
    "data.source": Setting(OBJECT),
    "data.name": Setting(NAME),
    "data.gives": Setting(list_of(NAME, "names, such as [x,y,picture]")),
    "data.shape": Setting(SHAPE),
    "data.classes": Setting(number(least=0, whole=True, optional=True)),
    **{f"data.{name}": Setting(NAME, True) for name in ("fit", "bad_images", "surface")},  # the classes know which
    "data.attributes": Setting(list_of(NAME, "names, such as [Male,Smiling],", optional=True), True),
    "data.held_out": Setting(number(), True),
    **{f"data.{name}": Setting(COUNT, True) for name in ("crop", "dimensions", "directions", "lines")},
    **{
        f"data.{name}": Setting(number(least=1, whole=True, usable=(1, 10**8)), True)
        for name in ("points", "modes", "side")
    },
    **{f"data.{name}": Setting(POSITIVE, True) for name in ("radius", "spacing", "spread", "extent")},
    **{f"data.{name}": Setting(number(), True) for name in ("sigma", "deviation")},
    # metrics
    "metrics.mode": Setting(one_of("min", "max")),
    "metrics.samples": Setting(number(least=2, whole=True)),
    "metrics.batch_size": Setting(COUNT),
    "metrics.fitted": Setting(number(least=0, whole=True), True),
    "metrics.monitor": Setting(TEXT, True),
    "metrics.weights": Setting(types.NAME_OR_NULL, True),
    **{f"metrics.{name}": Setting(types.SCORES, True) for name in ("scores", "final")},
    # ganrun eval; what a protocol fixes is named in this order
    "samples": Setting(number(least=2, whole=True, optional=True), fixed_by_protocol=True),
    "splits": Setting(types.SPLITS_OR_NULL, fixed_by_protocol=True),
    "metrics.extractor": Setting(TABLE, True, fixed_by_protocol=True),
    "metrics.extractor.resize": Setting(NAME, True),
    "metrics.reference": Setting(number(least=2, whole=True, optional=True), fixed_by_protocol=True),
    "metrics.keep": Setting(WHOLE_OR_NULL, True, fixed_by_protocol=True),
    "copies": Setting(number(least=0, whole=True)),
    "path_length": Setting(number(least=0, whole=True)),
    "pictures": Setting(TEXT),
    "against": Setting(TEXT),
    # trainer
    "trainer.accelerator": Setting(one_of("auto", "cpu", "gpu", "cuda", "mps"), resumable=True),
    "trainer.devices": Setting(types.DEVICES, resumable=True),
    "trainer.num_nodes": Setting(COUNT, resumable=True),
    "trainer.strategy": Setting(NAME, resumable=True),
    "trainer.precision": Setting(types.PRECISION),
    "trainer.deterministic": Setting(FLAG),
    "trainer.benchmark": Setting(FLAG, resumable=True),
    "trainer.sync_batchnorm": Setting(FLAG),
    "trainer.compile": Setting(one_of("auto", "off", "graphs", "full"), resumable=True),
    "trainer.batches_per_step": Setting(COUNT, resumable=True),
    # sweep
    "sweep.sampler": Setting(one_of("grid", "tpe", "random", "sobol", "cmaes")),
    "sweep.metric": Setting(TEXT),
    "sweep.direction": Setting(one_of("min", "max", optional=True)),
    "sweep.seeds": Setting(number(least=1, most=100_000, whole=True, optional=True)),
    "sweep.trials": Setting(COUNT, in_sweep_identity=False),
    "sweep.storage": Setting(TEXT),
    "sweep.space": Setting(TABLE),
    "sweep.only": Setting(types.TEXTS),
    "sweep.pruner": Setting(one_of("median", "hyperband", optional=True)),
    "sweep.pruner_startup": Setting(COUNT),
    **{f"sweep.{name}": Setting(TEXT, in_sweep_identity=False) for name in ("name", "sbatch")},
    "sweep.jobs": Setting(number(least=1, whole=True, optional=True), in_sweep_identity=False),
    "sweep.threads": Setting(number(least=1, most=MAX_THREADS, whole=True, optional=True), in_sweep_identity=False),
    "sweep.start": Setting(one_of("fork", "spawn", optional=True), in_sweep_identity=False),
    "sweep.jobs_per_gpu": Setting(COUNT, in_sweep_identity=False),
    "sweep.fail_fast": Setting(COUNT, in_sweep_identity=False),
    "sweep.retries": Setting(number(least=0, whole=True), in_sweep_identity=False),
    "sweep.fresh": Setting(FLAG, in_sweep_identity=False),
    # the other commands
    "n": Setting(COUNT),
    "columns": Setting(COUNT),
    "size": Setting(one_of("auto", "keep", "data")),
    "limit": Setting(number(above=0, optional=True, usable=(0.01, 3600))),
    "port": Setting(number(least=0, most=65535, whole=True)),
    "open": Setting(FLAG),
    "who": Setting(TEXT),
    "license": Setting(TEXT),
    **{name: Setting(NAME) for name in ("run", "which", "device", "as", "to", "format")},
    "input": Setting(types.NAME_OR_NULL),
    **{name: Setting(FLAG) for name in ("branch", "fresh", "trust")},
    "classes": Setting(types.CLASSES),
    "conditions": Setting(types.TABLE_OR_NULL),
    "code": Setting(types.CODE),
    "z": Setting(types.NAME_OR_NULL),
    "latents": Setting(FLAG),
    # ganrun look
    "path": Setting(types.PATH),
    "way": Setting(one_of("auto", "sphere", "line")),
    "range": Setting(list_of(number(least=-1000, most=1000), "two numbers, such as [-2,2]", length=2)),
    "invert": Setting(one_of("auto", "on", "off")),
    "steps": Setting(number(least=2, most=1000, whole=True)),
    "rows": Setting(number(least=1, most=64, whole=True)),
    "mean": Setting(types.TEXT_OR_WHOLE),
    "of": Setting(number(least=1, most=10_000, whole=True)),
    "updates": Setting(number(least=0, most=100_000, whole=True)),
    "feature_weight": Setting(NOT_NEGATIVE),
    "neighbours": Setting(number(least=1, most=50, whole=True, optional=True)),
    "film": Setting(FLAG),
    "directions": Setting(number(least=0, most=100, whole=True)),  # ganrun play
    "out": Setting(TEXT),
}


HYDRA = {"_target_": types.CLASS, "_partial_": FLAG, "_convert_": one_of("none", "partial", "object", "all")}


@cache
def find_setting(key: str) -> Setting:
    """Return the entry of a setting, given its dotted key; a default entry if SETTINGS has none."""
    fitting = (setting for name, setting in SETTINGS.items() if "*" in name and fits(name, key))
    return SETTINGS.get(key) or next(fitting, Setting())


def fits(name: str, key: str) -> bool:
    """Return whether a name in SETTINGS, which may be a pattern, stands for a key."""
    pattern = re.escape(name).replace(r"\*\*\.", r"(.+\.)?").replace(r"\*\*", ".+").replace(r"\*", r"[^.]+")
    return re.fullmatch(pattern, key) is not None


def check_values(cfg: DictConfig) -> None:
    """Raise UserError if the value of a setting has the wrong type or is out of range.

    Values that follow from others come last, so that the cause is named.
    """
    for key, value, owner, _ in sorted(iterate_settings(cfg), key=lambda entry: entry[3]):
        check_value(key, value, owner)


def iterate_settings(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, Any, str, bool]]:
    """Yield (key, value, class of the node that it is in or "", whether it follows from others), also of nodes.

    Values that are missing or cannot be resolved are left out.
    """
    owner = str(node.get("_target_") or "")
    for name in node:
        child: Any = node._get_node(name)
        key = f"{prefix}{name}"
        if child._is_missing() or key == "hydra":
            continue
        with suppress(OmegaConfBaseException):
            yield key, node[name], owner, child._is_interpolation()
        if isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation():
            yield from iterate_settings(child, f"{key}.")


def check_value(key: str, value: Any, owner: str = "") -> None:
    """Raise UserError if the setting may not have this value. owner: the class that takes it, if there is one."""
    *parents, name = key.split(".")
    setting = find_setting(f"optimizer.{name}" if parents[:1] == ["optimizers"] and len(parents) == 2 else key)
    is_ours = not owner or owner.startswith(OWN_CLASSES)
    allowed = setting.allowed if is_ours or not setting.of_own_class else None
    allowed = allowed if key in SETTINGS else HYDRA.get(name, allowed)
    if allowed is None or allowed.admits(value):
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    kind = "the number " if is_number and allowed in (TEXT, types.ROOT) else ""
    raise UserError(
        f"{key} must be {allowed.description}, got {kind}{types.format_setting_value(value)}.{allowed.hint(key, value)}"
    )
