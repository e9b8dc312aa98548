"""Scores while training."""

from pytorch_lightning import Callback

from ganrun.callbacks.cadence import Cadence
from ganrun.record import Record


class Evaluation(Callback):
    """Scores the model by a suite at every mark and at the end; hands the scores to the logger and the record."""

    def __init__(self, suite, data, record: Record, every_kimg: float | None):
        self.suite, self.data, self.record = suite, data, record
        self.cadence = Cadence(every_kimg)

    def on_train_start(self, trainer, model):
        self.cadence.start(model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.cadence.is_due(model):
            self._evaluate(trainer, model)

    def on_train_end(self, trainer, model):
        if self.cadence.is_missing(model):
            self._evaluate(trainer, model)

    def _evaluate(self, trainer, model) -> None:
        with self.record.beside_training():
            scores = self.suite.score(model, self.data)
        protocol = {**self.suite.protocol(self.data), "averaged_weights": bool(model.averaged)}
        self.record.images = model.images_seen
        self.record.score(model.images_seen, scores, protocol)
        if trainer.is_global_zero:
            for logger in trainer.loggers:
                logger.log_metrics(scores, step=model.images_seen)
