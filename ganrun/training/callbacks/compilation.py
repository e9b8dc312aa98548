"""The networks compiled, and the players' turns as CUDA graphs."""

from pytorch_lightning import Callback

from ganrun.models.steps.cuda_graph import CudaGraphCapture
from ganrun.models.steps.graph_replay import GraphedSteps


class Compilation(Callback):
    """Has a training go faster than Python can ask for its operations.

    graphs: record each player's turn and replay it, see models/steps/graph_replay.py.
    networks: let torch.compile fuse what the networks do; it takes its time at the first batches.
    """

    def __init__(self, graphs: bool, networks: bool):
        self.graphs, self.networks = graphs, networks

    def on_train_start(self, trainer, model):
        model.graphed_steps = GraphedSteps(model, CudaGraphCapture(model.device)) if self.graphs else None
        for player in model.players() if self.networks else ():
            for net in player.nets:
                net.compile()  # in place: the names in its state dict stay
