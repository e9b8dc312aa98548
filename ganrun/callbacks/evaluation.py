"""Scores while training."""

import torch
from pytorch_lightning import Callback
from torch import nn

from ganrun.callbacks.cadence import Cadence
from ganrun.record import Record


class Evaluation(Callback):
    """Scores the model by a suite at every mark, and by more at the end; hands the scores to loggers and record."""

    def __init__(self, suite, data, record: Record, every_kimg: float | None):
        self.suite, self.data, self.record = suite, data, record
        self.cadence = Cadence(every_kimg)

    def on_train_start(self, trainer, model):
        self.cadence.start(model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.cadence.is_due(model) and model.progress < 1:
            self._evaluate(trainer, model, is_final=False)

    def on_train_end(self, trainer, model):
        self._evaluate(trainer, model, is_final=True)

    def _evaluate(self, trainer, model, is_final: bool) -> None:
        with self.record.beside_training():
            same_statistics(model, trainer)
            scores = self.suite.score(model, self.data, is_final=is_final)
        facts = {"averaged_weights": bool(model.averaged), "precision": str(trainer.precision)}
        protocol = {**self.suite.protocol(self.data), **facts}
        self.record.images = model.images_seen
        self.record.score(model.images_seen, scores, protocol)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=model.images_seen)


def same_statistics(model: nn.Module, trainer) -> None:
    """Gives all ranks the first one's BatchNorm statistics, so that they score one network, the one that is saved."""
    if trainer.world_size == 1:
        return
    norms = (module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    for buffer in (buffer for norm in norms for buffer in norm.buffers()):
        torch.distributed.broadcast(buffer, 0)
