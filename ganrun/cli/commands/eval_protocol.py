"""The named protocol of an evaluation (protocol=fid50k), and the settings in which a command departs from it."""

from collections.abc import Mapping
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ganrun.config import compatibility, schema
from ganrun.data.keys import describe_keys, kinds_of
from ganrun.data.module import DataModule
from ganrun.errors import UserError
from ganrun.metrics.extractors.weights import INCEPTION
from ganrun.metrics.scores.declarations import comparable_protocol
from ganrun.training.inference import TrainedModel


def chosen_protocol() -> str | None:
    return compatibility.chosen_options().get("protocol")


def compose_protocol() -> DictConfig:
    """Return the config with only the protocol chosen, with Hydra's own node."""
    return compose(HydraConfig.get().job.config_name, [f"protocol={chosen_protocol()}"], return_hydra_config=True)


def check_protocol_metrics() -> None:
    """Raise UserError if the command chooses other metrics than the protocol."""
    if not chosen_protocol():
        return
    its, given = compose_protocol().hydra.runtime.choices.get("metrics"), compatibility.chosen_options()["metrics"]
    if its not in (None, given):
        raise UserError(
            f"protocol={chosen_protocol()} evaluates with metrics={its}, but metrics={given} was given. Remove one."
        )


def check_protocol_data(data) -> None:
    """Raise UserError for data that is not images for generation."""
    if chosen_protocol() and ("x" not in data.gives or len(data.shape) != 3):
        raise UserError(
            f"protocol={chosen_protocol()} scores generated images, but data={data.name} has "
            f"{describe_keys(kinds_of(data.keys))}. Leave out protocol=."
        )


def training_differences(
    trained: TrainedModel, data: DataModule, scores: Mapping[str, float], protocol: Mapping[str, Any]
) -> list[str] | None:
    """Return in what the protocol of these scores differs from that of the training, by name and both values.

    Empty if they compare; None if the training has none of these scores for this checkpoint.
    """
    before, its = trained.scoring
    shared = [name for name in scores if name in before]
    if not shared:
        return None
    here, there = {}, {}
    for name in shared:
        here |= comparable_protocol(name, protocol)
        there |= comparable_protocol(name, its)
    differing = [key for key in {**there, **here} if here.get(key) != there.get(key)]
    named = [f"{key}: {here.get(key)} (training: {there.get(key)})" for key in differing]
    other = [f"data: {data.name} (training: {trained.data.name})"] if data is not trained.data else []
    return other + named


def protocol_name(cfg: DictConfig, used: Mapping) -> str | None:
    """Return the protocol's name, followed by the settings that differ from it. None without a protocol.

    used: the protocol that the suite reports for its scores.
    """
    if not chosen_protocol():
        return None
    its = compose_protocol()
    fixed = [key for key, setting in schema.SETTINGS.items() if setting.fixed_by_protocol]
    changed = [key for key in fixed if OmegaConf.select(cfg, key) != OmegaConf.select(its, key)]
    wanted = OmegaConf.select(its, "metrics.reference")
    if wanted and used["reference"] < wanted and "metrics.reference" not in changed:
        changed.append("metrics.reference")
    if cfg.metrics.weights and not INCEPTION.digest.startswith(used["weights"].removeprefix("sha256:")):
        changed.append("metrics.weights")
    return f"{chosen_protocol()}, changed: {', '.join(changed)}" if changed else chosen_protocol()
