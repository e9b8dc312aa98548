"""The named protocol of an evaluation, and whether its name may still be claimed."""

from collections.abc import Mapping

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ganrun.config import compatibility, schema
from ganrun.errors import UserError
from ganrun.metrics.extractors.weights import INCEPTION_DIGEST


def chosen_protocol() -> str | None:
    return compatibility.chosen_options().get("protocol")


def compose_protocol() -> DictConfig:
    """The config of the chosen protocol alone, Hydra's own node in it."""
    return compose(HydraConfig.get().job.config_name, [f"protocol={chosen_protocol()}"], return_hydra_config=True)


def check_protocol_metrics() -> None:
    """Refuses other metrics than the protocol's."""
    if not chosen_protocol():
        return
    its, given = compose_protocol().hydra.runtime.choices.get("metrics"), compatibility.chosen_options()["metrics"]
    if its not in (None, given):
        raise UserError(
            f"protocol={chosen_protocol()} evaluates with metrics={its}, but metrics={given} was given. Remove one."
        )


def check_protocol_data(data) -> None:
    """Refuses data that are not pictures to generate."""
    if chosen_protocol() and ("x" not in data.gives or len(data.shape) != 3):
        raise UserError(
            f"protocol={chosen_protocol()} scores generated pictures, "
            f"and data={data.name} gives {compatibility.describe_batch_keys(data.gives)}. "
            "Leave protocol= out."
        )


def protocol_name(cfg: DictConfig, told: Mapping) -> str | None:
    """The protocol's name, with the settings behind it that are not the protocol's; None where there is none.

    told: how the scores came about, as suites tell it.
    """
    if not chosen_protocol():
        return None
    its = compose_protocol()
    fixed = [key for key, setting in schema.SETTINGS.items() if setting.fixed_by_protocol]
    changed = [key for key in fixed if OmegaConf.select(cfg, key) != OmegaConf.select(its, key)]
    wanted = OmegaConf.select(its, "metrics.reference")
    if wanted and told["reference"] < wanted and "metrics.reference" not in changed:
        changed.append("metrics.reference")
    if cfg.metrics.weights and not INCEPTION_DIGEST.startswith(told["weights"].removeprefix("sha256:")):
        changed.append("metrics.weights")
    return f"{chosen_protocol()}, changed: {', '.join(changed)}" if changed else chosen_protocol()
