"""torch.compile of the networks, and CUDA graphs of the players' steps."""

from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.utilities.model_helpers import is_overridden

from ganrun.models.steps.cuda_graph import CudaGraphCapture
from ganrun.models.steps.graph_replay import GraphedSteps
from ganrun.training.callbacks.base import RunCallback, RunContext

STEP_HOOKS = ("on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")


class Compilation(RunCallback):
    """Makes training independent of the speed of Python, as trainer.compile says.

    graphs: record each player's step as a CUDA graph and replay it. A replay calls no hooks, so a callback that acts
    within a step turns the graphs off.  networks: fuse their operations by torch.compile; the first batches take long.
    """

    graphs = networks = False

    def bind(self, run: RunContext) -> None:
        hardware = run.experiment.hardware
        acts_in_steps = any(is_overridden(hook, callback) for callback in run.callbacks for hook in STEP_HOOKS)
        self.graphs, self.networks = hardware.cuda_graphs and not acts_in_steps, hardware.compiles_networks

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        pl_module.graphed_steps = GraphedSteps(pl_module, CudaGraphCapture(pl_module.device)) if self.graphs else None
        for player in pl_module.players() if self.networks else ():
            for net in player.nets:
                net.compile()  # in place: the names in its state dict stay
