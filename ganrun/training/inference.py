"""A trained model, from its checkpoint alone."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ganrun.config import build, renames, trust
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.models.base import Adversarial
from ganrun.training import checkpoint

log = logging.getLogger(__name__)


@dataclass
class TrainedModel:
    """A model as it was saved, on its device; cfg is the config of its training, kimg where it stood."""

    path: Path
    cfg: DictConfig
    model: Adversarial
    data: DataModule
    kimg: float
    choices: dict[str, str]


def load_trained_model(command: DictConfig) -> TrainedModel:
    """The model that a command names by `run` and `which`, on its `device`."""
    path = checkpoint.find_checkpoint(command.run, command.which)
    content = checkpoint.load_checkpoint(path)
    cfg = renames.update_config(OmegaConf.create(content["ganrun"]["config"]))
    if not command.get("trust"):
        trust.check_trusted(cfg, path)
    data = build.build_data(cfg)
    model = build.build_model(cfg, data)
    model.configure_model()
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{path} does not fit its own config: {str(error).splitlines()[0]}") from error
    kimg = content["seen"]["images"] / 1000
    log.info("%s of %s, after %g kimg", content["ganrun"]["choices"]["model"], path, kimg)
    return TrainedModel(
        path, cfg, model.to(select_device(command.device)).eval(), data, kimg, content["ganrun"]["choices"]
    )


def select_device(name: str) -> torch.device:
    """The device of that name; auto takes a GPU where there is one."""
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if found[kind]))
    if not found.get(name):
        here = [kind for kind, is_there in found.items() if is_there]
        raise UserError(f"device={name} is not here. Allowed: auto, {', '.join(here)}.")
    return torch.device(name)


def data_for(trained: TrainedModel, command: DictConfig) -> DataModule:
    """The data that the command names, else the data of the training."""
    if command.get("data") is None:
        return trained.data
    cfg = OmegaConf.create({"data": command.data, "batch_size": 1, "seed": trained.cfg.seed})
    return build.build_data(cfg)
