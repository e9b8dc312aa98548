"""The values that settings may have, and the refusal of others."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ganrun.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Number:
    """A number from `least` (or above `above`) to `most`; whole numbers alone where `whole`; null where `optional`."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    whole: bool = False
    optional: bool = False

    def admits(self, value: Any) -> bool:
        if value is None:
            return self.optional
        if isinstance(value, bool) or not isinstance(value, int if self.whole else Real) or value != value:
            return False
        lower = value >= self.least if self.above is None else value > self.above
        return lower and (self.most is None or value <= self.most)

    def __str__(self) -> str:
        bound = f"from {self.least}" if self.above is None else f"above {self.above}"
        end = "" if self.most is None else f" to {self.most}"
        return f"a {'whole ' if self.whole else ''}number {bound}{end}{', or null' if self.optional else ''}"


@dataclass(frozen=True)
class OneOf:
    """One of a few words, or true and false; null where `optional`."""

    words: tuple
    optional: bool = False

    def admits(self, value: Any) -> bool:
        if value is None:
            return self.optional
        return value in self.words and isinstance(value, bool) == isinstance(self.words[0], bool)

    def __str__(self) -> str:
        words = ", ".join(str(word).lower() if isinstance(word, bool) else word for word in self.words)
        return f"one of {words}{', or null' if self.optional else ''}"


class Text:
    """A text, or null."""

    def admits(self, value: Any) -> bool:
        return value is None or isinstance(value, str)

    def __str__(self) -> str:
        return "a text, or null"


class Table:
    """Keys and their values."""

    def admits(self, value: Any) -> bool:
        return isinstance(value, DictConfig)

    def __str__(self) -> str:
        return "a table of keys and values, {key: value}"


class Texts:
    """A text, or a list of texts."""

    def admits(self, value: Any) -> bool:
        return isinstance(value, str) or (isinstance(value, ListConfig) and all(isinstance(one, str) for one in value))

    def __str__(self) -> str:
        return "a text, or a list of texts, ['text', 'text']"


FLAG, COUNT = OneOf((True, False)), Number(least=1, whole=True)
EVERY = Number(above=0, optional=True)
LIMITS = {
    "seed": Number(least=0, most=2**32 - 1, whole=True),
    "kimg": Number(above=0),
    "minutes": EVERY,
    "batch_size": COUNT,
    "log_every": COUNT,
    "trainer.batches_per_step": COUNT,
    "guard": OneOf(("stop", "skip")),
    "guard_skips": COUNT,
    "validate_kimg": EVERY,
    "pictures_kimg": EVERY,
    "checkpoint.kimg": EVERY,
    "checkpoint.every_kimg": EVERY,
    "checkpoint.keep": Number(least=1, whole=True, optional=True),
    "clip": EVERY,
    "channels_last": FLAG,
    "profile": FLAG,
    "dry_run": FLAG,
    "resume": FLAG,
    "ema.half_life_kimg": EVERY,
    "ema.ramp_up": Number(above=0),
    "optimizer.lr": Number(above=0),
    "schedule.start": Number(least=0, most=1),
    "schedule.end": Number(least=0),
    "init.std": Number(least=0),
    "init.gain": Number(least=0),
    "model.z_dim": COUNT,
    "model.k": COUNT,
    "model.n_critic": COUNT,
    "model.c": Number(above=0),
    "model.cycle": Number(least=0),
    "model.identity": Number(least=0),
    "model.pool": Number(least=0, whole=True),
    "network.width": COUNT,
    "network.blocks": Number(least=1, whole=True, optional=True),
    "data.size": COUNT,
    "data.channels": COUNT,
    "data.triples": COUNT,
    "data.near": Number(above=0),
    "data.root": Text(),
    "data.flip": FLAG,
    "data.device": OneOf(("auto", "cpu", "cuda")),
    "metrics.samples": Number(least=2, whole=True),
    "metrics.reference": Number(least=2, whole=True, optional=True),
    "metrics.batch_size": COUNT,
    "metrics.mode": OneOf(("min", "max")),
    "trainer.num_nodes": COUNT,
    "trainer.deterministic": FLAG,
    "trainer.benchmark": FLAG,
    "trainer.sync_batchnorm": FLAG,
    "trainer.compile": OneOf(("auto", "off", "graphs", "full")),
    "sweep.sampler": OneOf(("grid", "tpe", "random", "sobol", "cmaes")),
    "sweep.name": Text(),
    "sweep.metric": Text(),
    "sweep.direction": OneOf(("min", "max"), optional=True),
    "sweep.seeds": Number(least=1, whole=True, optional=True),
    "sweep.trials": COUNT,
    "sweep.storage": Text(),
    "sweep.space": Table(),
    "sweep.only": Texts(),
    "sweep.pruner": OneOf(("median", "hyperband"), optional=True),
    "sweep.pruner_startup": COUNT,
    "sweep.jobs": COUNT,
    "sweep.jobs_per_gpu": COUNT,
    "sweep.sbatch": Text(),
    "sweep.retries": Number(least=0, whole=True),
    "sweep.fail_fast": COUNT,
    "sweep.fresh": FLAG,
    "samples": Number(least=2, whole=True, optional=True),
    "n": COUNT,
    "copies": Number(least=0, whole=True),
    "columns": COUNT,
    "pictures": Text(),
    "against": Text(),
}
SPLITS = ("train", "test")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu")


def check_values(cfg: DictConfig) -> None:
    """Refuses a setting that is of the wrong kind or out of its range."""
    absent = object()
    for key, limit in LIMITS.items():
        value = OmegaConf.select(cfg, key, default=absent)
        if value is not absent and not limit.admits(value):
            guess = did_you_mean(str(value), limit.words) if isinstance(limit, OneOf) and limit is not FLAG else ""
            raise UserError(f"{key}={value} does not do: it is {limit}.{guess}")
    check_splits("data.reference", OmegaConf.select(cfg, "data.reference", default=SPLITS))
    if OmegaConf.select(cfg, "splits") is not None:
        check_splits("splits", cfg.splits)


def check_splits(key: str, splits: Any) -> None:
    if not isinstance(splits, tuple | ListConfig) or not splits or not set(splits) <= set(SPLITS):
        raise UserError(f"{key}={splits} does not do: it is a list of splits, [train], [test] or [train,test].")


def check_hardware(trainer: DictConfig) -> None:
    """Refuses a GPU where there is none and more GPUs than there are."""
    import torch  # a sweep, which asks for limits, trains in other processes

    available = torch.cuda.device_count()
    kind = trainer.accelerator
    if kind not in ACCELERATORS:
        raise UserError(f"trainer.accelerator={kind} is not known.{did_you_mean(str(kind), ACCELERATORS)}")
    if trainer.accelerator in ("gpu", "cuda") and not (available or torch.backends.mps.is_available()):
        raise UserError(
            f"trainer.accelerator={trainer.accelerator}, and PyTorch {torch.__version__} finds no GPU here. "
            "Leave it out, or give trainer.accelerator=cpu."
        )
    if trainer.get("sync_batchnorm") and not (available and kind in ("auto", "gpu", "cuda")):
        raise UserError("trainer.sync_batchnorm=true needs CUDA GPUs, and none is used here. Leave it out.")
    devices = validated_devices(trainer)
    if available and trainer.accelerator != "cpu" and isinstance(devices, int) and devices > available:
        raise UserError(f"trainer.devices={devices}, and there are {available} GPUs. Give trainer.devices={available}.")


def validated_devices(trainer: DictConfig) -> Any:
    """trainer.devices. Raises UserError for what does not do, whatever machine it is."""
    devices = trainer.devices
    if isinstance(devices, bool) or not (isinstance(devices, int) or devices == "auto" or OmegaConf.is_list(devices)):
        raise UserError(f"trainer.devices={devices} does not do: it is a number, a list like [0,1], or auto.")
    if isinstance(devices, int) and (devices < -1 or devices == 0):
        raise UserError(f"trainer.devices={devices} does not do: it is at least 1, -1 for all, a list, or auto.")
    return devices
