"""The losses while training."""

from pytorch_lightning import Callback

from ganrun.record import Record


class Curves(Callback):
    """Reads the players' terms from the device every `every` batches and hands them to the logger and the record.

    `latest` keeps the last reading: {"train/<player>/<term>": value}.
    """

    def __init__(self, record: Record, every: int):
        self.record, self.every = record, every
        self.latest: dict[str, float] = {}

    def on_train_start(self, trainer, model):
        self.record.restart_clock()
        self.images_at_start = model.images_seen

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if model.batches_seen % self.every == 0:
            self._read(trainer, model)

    def on_train_end(self, trainer, model):
        if model.batches_seen % self.every:
            self._read(trainer, model)

    def _read(self, trainer, model) -> None:
        terms = {f"train/{player}/{term}": value for player, own in model.terms.items() for term, value in own.items()}
        self.latest = {name: float(value) for name, value in terms.items()}
        self.record.images = model.images_seen
        if trainer.is_global_zero:
            self.record.note({"kimg": model.images_seen / 1000, **self.latest})
            for logger in trainer.loggers:
                speed = {"images_per_second": self.record.images_per_second}
                logger.log_metrics({**self.latest, **speed}, step=model.images_seen)
