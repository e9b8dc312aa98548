"""Checkpoints while training."""

from collections.abc import Callable

from pytorch_lightning import Callback

from ganrun.training import checkpoint
from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.checkpoint_io import DurableIO
from ganrun.training.run_record import RunRecord


class Checkpointing(Callback):
    """Saves at every mark, whenever a new best was scored, when asked to, and at the end.

    Keeps the last two, the best, and those of every `every_kimg` thousand images, of these the newest `keep`.
    check: called before each save; raises where the model is not to be saved.
    start: the name of the checkpoint that the training goes on from.
    """

    def __init__(
        self,
        record: RunRecord,
        own_entries: dict,
        io: DurableIO,
        check: Callable,
        start: str | None = None,
        kimg: float | None = None,
        every_kimg: float | None = None,
        keep: int | None = None,
    ):
        self.record, self.own_entries, self.io, self.check, self.keep = record, own_entries, io, check, keep
        self.cadence = Cadence(kimg)
        self.for_good = Cadence(every_kimg) if every_kimg else None
        self.folder = record.folder / "checkpoints"
        self.start = start
        self.manifest = checkpoint.Manifest()

    def on_train_start(self, trainer, model):
        self.cadence.start(model)
        if self.for_good:
            self.for_good.start(model)
        if self.start:
            self.manifest = checkpoint.Manifest.read(self.folder).beginning_at(self.start, self._name_of_best())
        if trainer.is_global_zero:
            self.folder.mkdir(exist_ok=True)
            self.manifest.clear(self.folder)

    def on_save_checkpoint(self, trainer, model, content):
        content["ganrun"] = self.own_entries

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        is_for_good = bool(self.for_good and self.for_good.is_due(model))
        if is_for_good or self.cadence.is_due(model) or self._is_best(model):
            self.save(trainer, model)

    def on_train_end(self, trainer, model):
        if self.cadence.is_missing(model) or self._is_best(model):
            self.save(trainer, model)
        self.io.wait()
        if trainer.is_global_zero and self.manifest.last:
            self._commit(self._with_scores(self.manifest, model))  # the final scores came after the last save

    def state_dict(self) -> dict:
        return {"cadence": self.cadence.state_dict()} | (
            {"for_good": self.for_good.state_dict()} if self.for_good else {}
        )

    def load_state_dict(self, state: dict) -> None:
        self.cadence.load_state_dict(state["cadence"])
        if self.for_good and "for_good" in state:
            self.for_good.load_state_dict(state["for_good"])

    def save(self, trainer, model) -> None:
        """Saves this very state, once; it is on the disk after `io.wait()`."""
        with self.record.outside_training():
            self.check(trainer, model)
            self.io.wait()
            is_for_good = bool(self.for_good and self.for_good.is_due(model))
            for cadence in filter(None, (self.cadence, self.for_good)):
                cadence.done(model)
            name = checkpoint.checkpoint_name(model.images_seen / 1000)
            is_best = self.record.best.get("kimg") == model.images_seen / 1000
            manifest = self._with_scores(self.manifest.followed_by(name, is_best, is_for_good, self.keep), model)
            trainer.save_checkpoint(self.folder / name, storage_options=lambda digest: self._commit(manifest, digest))

    def save_now(self, trainer, model) -> None:
        """Saves this very state unless that was done, and waits until it is on the disk."""
        if self.cadence.is_missing(model):
            self.save(trainer, model)
        self.io.wait()

    def _commit(self, manifest: checkpoint.Manifest, digest: str | None = None) -> None:
        if digest:
            manifest.sha256[manifest.last] = digest
        manifest.commit(self.folder)
        self.manifest = manifest

    def _is_best(self, model) -> bool:
        return self.record.best.get("kimg") == model.images_seen / 1000 and self.manifest.best != self._name_of_best()

    def _name_of_best(self) -> str | None:
        return checkpoint.checkpoint_name(self.record.best["kimg"]) if self.record.best else None

    def _with_scores(self, manifest: checkpoint.Manifest, model) -> checkpoint.Manifest:
        """The manifest, with what names the best, and its value for both checkpoints; None for one without a score."""
        monitor, last, best = self.record.monitor, self.record.last, self.record.best
        if monitor is not None:
            kimg = model.images_seen / 1000
            manifest.monitor, manifest.mode = monitor, self.record.mode
            manifest.scores = {
                "last": {"kimg": kimg, "value": last[monitor] if last.get("kimg") == kimg else None},
                "best": {"kimg": best["kimg"], "value": best[monitor]} if manifest.best else None,
            }
        return manifest
