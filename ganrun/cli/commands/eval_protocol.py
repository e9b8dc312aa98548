"""The named protocol of an evaluation, and whether its name may still be claimed."""

from collections.abc import Mapping

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from ganrun.config import compatibility
from ganrun.errors import UserError
from ganrun.metrics.extractors.weights import INCEPTION_DIGEST

FIXED = ("samples", "splits", "metrics.extractor", "metrics.reference", "metrics.keep")  # what a number depends on


def chosen() -> str | None:
    return compatibility.choices().get("protocol")


def plain() -> DictConfig:
    """The config of the chosen protocol alone, Hydra's own node in it."""
    return compose(HydraConfig.get().job.config_name, [f"protocol={chosen()}"], return_hydra_config=True)


def check_metrics() -> None:
    """Refuses other metrics than the protocol's."""
    if not chosen():
        return
    its, given = plain().hydra.runtime.choices.get("metrics"), compatibility.choices()["metrics"]
    if its not in (None, given):
        raise UserError(
            f"protocol={chosen()} scores by metrics={its}, and metrics={given} was given. Leave one of them out."
        )


def check_data(data) -> None:
    """Refuses data that are not pictures to generate."""
    if chosen() and ("x" not in data.gives or len(data.shape) != 3):
        raise UserError(
            f"protocol={chosen()} scores generated pictures, "
            f"and data={data.name} gives {compatibility.words(data.gives)}. "
            "Leave protocol= out."
        )


def claimed(cfg: DictConfig, told: Mapping) -> str | None:
    """The protocol's name, with the settings behind it that are not the protocol's; None where there is none.

    told: how the scores came about, as suites tell it.
    """
    if not chosen():
        return None
    its = plain()
    changed = [key for key in FIXED if OmegaConf.select(cfg, key) != OmegaConf.select(its, key)]
    wanted = OmegaConf.select(its, "metrics.reference")
    if wanted and told["reference"] < wanted and "metrics.reference" not in changed:
        changed.append("metrics.reference")
    if cfg.metrics.weights and not INCEPTION_DIGEST.startswith(told["weights"].removeprefix("sha256:")):
        changed.append("metrics.weights")
    return f"{chosen()}, changed: {', '.join(changed)}" if changed else chosen()
