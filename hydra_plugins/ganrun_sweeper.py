"""The place where Hydra looks for plugins, and for no others; what the sweeper does is in ganrun/sweep."""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper


class GanrunSweeper(Sweeper):
    """Trains the points of a sweep, and goes on where an earlier start of it ended."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: Any) -> None:
        self.context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> Any:
        from ganrun.sweep import sweeper

        return sweeper.run_sweep(self.context, self.config, arguments)


@dataclass
class GanrunSweeperConf:
    _target_: str = "hydra_plugins.ganrun_sweeper.GanrunSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="ganrun", node=GanrunSweeperConf, provider="ganrun")
