"""The first weights of a run with init_from=RUN: those of another run, where they fit."""

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from ganrun.config.interpolations import quote_text
from ganrun.config.overrides import quote_name
from ganrun.config.trust import explain_unusable_settings
from ganrun.errors import UntrustedError, UserError
from ganrun.models.base import Adversarial
from ganrun.training import checkpoint, session
from ganrun.training.fitting_weights import check_misfits, load_fitting_weights
from ganrun.training.manifest import MANIFEST
from ganrun.training.runs.find import resolve_run

log = logging.getLogger(__name__)


def start_from_source(cfg: DictConfig, model: Adversarial) -> None:
    """Load the weights that cfg.init_from names into a new model, and log them; note the checkpoint in cfg.parent.

    "last" becomes the run folder that it names now: the new run is itself the newest one soon. Does nothing without
    init_from, and in other processes than the main one, whose weights Lightning gives to all.
    """
    if cfg.get("init_from") is None or not session.is_main_process():
        return
    if cfg.init_from == "last":
        cfg.init_from = quote_text(str(last_run(is_sweep=HydraConfig.get().mode == RunMode.MULTIRUN)))
    path = find_source(cfg.init_from)
    misfits = load_initial_weights(model, path)
    cfg.parent = quote_text(str(path))
    log.info("the weights start from %s: %s", path, count_fitting(model, misfits))
    check_misfits(misfits, path, is_fresh=True)


def last_run(is_sweep: bool) -> Path:
    """Return the newest run, which init_from=last names. Raises UserError in a sweep, whose jobs are runs, too."""
    path = resolve_run("last", f"checkpoints/{MANIFEST}")
    if is_sweep:
        name = quote_name(str(path))
        raise UserError(f"init_from=last is another run for each job of a sweep. Name the run: init_from={name}")
    return path


def check_source(cfg: DictConfig, model: Adversarial) -> None:
    """Raise UserError if `start_from_source` would."""
    if cfg.get("init_from") is not None:
        load_initial_weights(model, find_source(cfg.init_from))


def find_source(source: str) -> Path:
    """Return the checkpoint that init_from= names. Raises UserError if there is none, or if it cannot be trusted."""
    try:
        return checkpoint.find_checkpoint(source)
    except UntrustedError as error:
        advice = "copy its checkpoint to another folder, and give that file"
        raise UserError(f"init_from={source}: {error.advice}, {advice}: init_from=COPY.ckpt") from error
    except UserError as error:
        raise UserError(f"init_from={source}: {error}") from error


def load_initial_weights(model: Adversarial, path: Path) -> dict[str, str]:
    """Load the weights of a checkpoint that fit the model by name and shape; return {name: reason} of the others.

    Averages are left out: those of the new run start as copies of its networks. Raises UserError if nothing fits.
    """
    content = checkpoint.load_checkpoint(path)
    with explain_unusable_settings(path):
        plain = {name: w for name, w in content["state_dict"].items() if not str(name).startswith("averaged.")}
        misfits = load_fitting_weights(model, plain)
    matrices = [name for name, w in model.named_parameters() if w.ndim > 1]  # a bias may fit by accident
    if matrices and all(name in misfits for name in matrices):
        name = content["ganrun"]["choices"].get("model")
        raise UserError(
            f"No weight matrix in {path}, of model={name}, fits a network of the config by name and shape. Choose its "
            "model and network settings, or leave init_from out."
        )
    return misfits


def count_fitting(model: Adversarial, misfits: Mapping[str, str]) -> str:
    """Return how many weights of each network fit: "generator 14 of 14, discriminator 12 of 14"."""
    names = [name for name, _ in model.named_parameters()]
    total = Counter(name.partition(".")[0] for name in names)
    fitting = Counter(name.partition(".")[0] for name in names if name not in misfits)
    return ", ".join(f"{network} {fitting[network]} of {count}" for network, count in total.items())
