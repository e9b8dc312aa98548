"""Checkpoints during a training."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer

from ganrun.training import checkpoint
from ganrun.training.callbacks.base import RunCallback, RunContext
from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.callbacks.nan_guard import NanGuard
from ganrun.training.manifest import Manifest, checkpoint_name, remove_partial_files
from ganrun.training.plain_types import plain_entries
from ganrun.training.runs.save_request import SaveRequests
from ganrun.training.unsaved_state import UnsavedState


class Checkpointing(RunCallback):
    """Saves at regular intervals, on a new best score, on request, and at the end.

    Keeps the last two checkpoints, the best, and one every `every_kimg` thousand images, the newest `keep` of these.
    """

    acts_last = True

    def __init__(self, kimg: float | None = None, every_kimg: float | None = None, keep: int | None = None):
        self.cadences = {"cadence": Cadence(kimg)} | ({"for_good": Cadence(every_kimg)} if every_kimg else {})
        self.keep, self.manifest = keep, Manifest()

    def bind(self, run: RunContext) -> None:
        super().bind(run)
        self.folder = run.record.folder / "checkpoints"
        precision = run.experiment.hardware.precision
        self.metadata = checkpoint.checkpoint_metadata(run.cfg, run.choices, run.experiment.data.contents, precision)
        if start := run.resumed_from:
            before = Manifest.read(self.folder)
            run.record.restore_best(before.monitor, before.scores.get("best"))
            self.manifest = before.restarted_at(start.name, self._best_name())

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for cadence in self.cadences.values():
            cadence.start(pl_module)
        self.unsaved = UnsavedState(pl_module)
        self.requests = SaveRequests(self.run.record.folder)
        if trainer.is_global_zero:
            self.folder.mkdir(exist_ok=True)
            remove_partial_files(self.folder)
            self.requests.answer()  # of a process that was killed while it saved
            if self.manifest.last:
                self.manifest.commit(self.folder)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["ganrun"] = self.metadata
        for owner in (pl_module, trainer.datamodule):  # pyright: ignore[reportAttributeAccessIssue]
            checkpoint.pop(owner.CHECKPOINT_HYPER_PARAMS_TYPE, None)
            if (arguments := checkpoint.get(owner.CHECKPOINT_HYPER_PARAMS_KEY)) is not None:  # of save_hyperparameters
                checkpoint[owner.CHECKPOINT_HYPER_PARAMS_KEY] = plain_entries(arguments)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if any(cadence.is_due(pl_module) for cadence in self.cadences.values()) or self._is_new_best(pl_module):
            self.save(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.cadences["cadence"].is_outdated(pl_module) or self._is_new_best(pl_module):
            self.save(trainer, pl_module)
        self.run.checkpoint_io.wait()
        if trainer.is_global_zero and self.manifest.last:
            self._commit(self._with_scores(self.manifest, pl_module))  # the final scores came after the last save

    def state_dict(self) -> dict[str, Any]:
        return {name: cadence.state_dict() for name, cadence in self.cadences.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self.cadences.keys() & state_dict.keys():
            self.cadences[name].load_state_dict(state_dict[name])

    def save(self, trainer: Trainer, model) -> None:
        """Save the current state; it is on disk after `checkpoint_io.wait()`."""
        with self.run.record.outside_training():
            self.run.find(NanGuard).check(trainer, model)
            if trainer.is_global_zero:
                self.unsaved.warn_of_changes(model)
            self.run.checkpoint_io.wait()
            if trainer.is_global_zero:
                self.requests.take()
            for logger in trainer.loggers:
                logger.save()  # what a kill loses of the curves is then after the checkpoint
            is_permanent = "for_good" in self.cadences and self.cadences["for_good"].is_due(model)
            for cadence in self.cadences.values():
                cadence.mark_done(model)
            name = checkpoint_name(model.images_seen / 1000)
            is_best = self.run.record.best.get("kimg") == model.images_seen / 1000
            manifest = self._with_scores(self.manifest.with_saved(name, is_best, is_permanent, self.keep), model)
            trainer.save_checkpoint(self.folder / name, storage_options=lambda digest: self._commit(manifest, digest))

    def save_now(self, trainer: Trainer, model) -> None:
        """Save the current state unless that was done, and wait until it is on disk."""
        if self.cadences["cadence"].is_outdated(model):
            self.save(trainer, model)
        self.run.checkpoint_io.wait()

    def _commit(self, manifest: Manifest, digest: str | None = None) -> None:
        if digest and manifest.last:
            manifest.sha256[manifest.last] = digest
        manifest.commit(self.folder)
        self.manifest = manifest
        if digest:
            self.requests.answer()

    def _is_new_best(self, model) -> bool:
        return self.run.record.best.get("kimg") == model.images_seen / 1000 and self.manifest.best != self._best_name()

    def _best_name(self) -> str | None:
        best = self.run.record.best
        return checkpoint_name(best["kimg"]) if best else None

    def _with_scores(self, manifest: Manifest, model) -> Manifest:
        """Add the monitored score of the last and the best checkpoint; None for one without a score."""
        monitor, last, best = self.run.record.monitor, self.run.record.last, self.run.record.best
        if monitor is not None:
            kimg = model.images_seen / 1000
            manifest.monitor, manifest.mode = monitor, self.run.record.mode
            manifest.scores = {
                "last": {"kimg": kimg, "value": last[monitor] if last.get("kimg") == kimg else None},
                "best": {"kimg": best["kimg"], "value": best[monitor]} if manifest.best else None,
            }
        return manifest
