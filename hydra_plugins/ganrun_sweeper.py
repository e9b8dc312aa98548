"""The sweeper of `ganrun train -m`, in the only package in which Hydra looks for plugins. Its code is ganrun/sweep."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper

import ganrun.config.network_parts  # Hydra imports this module before it composes a config
import ganrun.config.precedence
import ganrun.config.resolvers  # noqa: F401


class GanrunSweeper(Sweeper):
    """Runs the jobs of a sweep, or those that an earlier start of the same sweep has left."""

    config: Any  # set by setup

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Any:
        from ganrun.sweep import hydra_context, sweeper

        return sweeper.run_sweep(self.context, self.config, arguments, hydra_context.current_command())


@dataclass
class GanrunSweeperConf:
    _target_: str = "hydra_plugins.ganrun_sweeper.GanrunSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="ganrun", node=GanrunSweeperConf, provider="ganrun")
