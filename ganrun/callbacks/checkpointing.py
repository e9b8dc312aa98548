"""Checkpoints while training."""

from pytorch_lightning import Callback

from ganrun import checkpoint
from ganrun.callbacks.cadence import Cadence
from ganrun.record import Record


class Checkpointing(Callback):
    """Saves at every mark, whenever a new best was scored, and at the end; keeps the last and the best."""

    def __init__(self, record: Record, own_entries: dict, every_kimg: float | None):
        self.record, self.own_entries = record, own_entries
        self.cadence = Cadence(every_kimg)
        self.folder = record.folder / "checkpoints"
        self.best: str | None = None
        self.last: str | None = None

    def on_train_start(self, trainer, model):
        self.cadence.start(model)
        if trainer.is_global_zero:
            self.folder.mkdir(exist_ok=True)

    def on_save_checkpoint(self, trainer, model, content):
        content["ganrun"] = self.own_entries

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        if self.cadence.is_due(model) or self._is_best(model):
            self._save(trainer, model)

    def on_train_end(self, trainer, model):
        if self.cadence.is_missing(model) or self._is_best(model):
            self._save(trainer, model)
        else:
            self._commit(trainer, model)  # the final scores came after the last save

    def _is_best(self, model) -> bool:
        return self.record.best.get("kimg") == model.images_seen / 1000 and self.best != self._name(model)

    def _save(self, trainer, model) -> None:
        with self.record.beside_training():
            self.last = checkpoint.save(trainer, self.folder, self._name(model)).name
            if self.record.best.get("kimg") == model.images_seen / 1000:
                self.best = self.last
            self._commit(trainer, model)

    def _commit(self, trainer, model) -> None:
        if trainer.is_global_zero:
            checkpoint.commit(self.folder, self.last, self.best, **self._scores(model))

    def _scores(self, model) -> dict:
        """What names the best, and its value for both checkpoints; None for one that was not scored."""
        monitor, last, best = self.record.monitor, self.record.last, self.record.best
        if monitor is None:
            return {}
        kimg = model.images_seen / 1000
        scores = {
            "last": {"kimg": kimg, "value": last[monitor] if last.get("kimg") == kimg else None},
            "best": {"kimg": best["kimg"], "value": best[monitor]} if self.best else None,
        }
        return {"monitor": monitor, "mode": self.record.mode, "scores": scores}

    def _name(self, model) -> str:
        return f"kimg{model.images_seen / 1000:010.3f}.ckpt"
