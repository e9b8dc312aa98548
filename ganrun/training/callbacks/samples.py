"""Grids of samples during a training."""

import logging
from pathlib import Path
from typing import Any

from PIL import Image
from pytorch_lightning import Trainer
from torch import Tensor

from ganrun.data.images import save_enlarged, save_png, to_pillow
from ganrun.training.callbacks.base import RunCallback
from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.callbacks.signals import Signals
from ganrun.training.latent_pictures import latent_pictures

log = logging.getLogger(__name__)

PICTURES = "pictures"  # the group of tags in TensorBoard, which opens the first two by their letters: see evaluation.py
POINTS, IMAGES = 2500, 64  # in a picture of real examples


class Samples(RunCallback):
    """Writes the grids of model.pictures() regularly and at the end, to samples/ and to loggers that show images.

    The first are those before the training, and a grid of real examples to compare with. At the end, also pictures of
    the latents: see `latent_pictures`.
    A signal stops the drawing, which then stays due.  newest: the files written last.  shown: at the end, enlarged
    copies of these, to look at.
    """

    def __init__(self, every_kimg: float | None = None):
        self.cadence = Cadence(every_kimg)
        self.newest: list[Path] = []
        self.shown: list[Path] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.cadence.start(pl_module)
        if not pl_module.images_seen:
            self._write_real(trainer, pl_module)
            self._write(trainer, pl_module)
        self._write_if_due(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self._write_if_due(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self.cadence.is_outdated(pl_module):
            self._write(trainer, pl_module)
        if trainer.is_global_zero:
            self.shown = [write_enlarged(path, self.run.record.folder) for path in self.newest]
            self.shown += self._write_latents(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        return self.cadence.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.cadence.load_state_dict(state_dict)

    def _write_if_due(self, trainer: Trainer, model) -> None:
        if self.cadence.is_due(model) and self._write(trainer, model):
            self.cadence.mark_done(model)

    def _write_real(self, trainer: Trainer, model) -> None:
        """Write a grid of real examples, where the model's pictures are samples of the same kind."""
        data, folder = self.run.experiment.data, self.run.record.folder / "samples"
        if not (trainer.is_global_zero and hasattr(model, "sample") and "x" in data.keys):
            return
        grid = data.draw(data.test("x", POINTS if data.kind == "points" else IMAGES).float())
        folder.mkdir(exist_ok=True)
        save_png(folder / "real.png", grid)
        log_picture(trainer.loggers, "real", grid, 0)

    def _write(self, trainer: Trainer, model) -> bool:
        """Write the grids; return False if a signal stopped it."""
        if not trainer.is_global_zero:
            return True
        data, folder = self.run.experiment.data, self.run.record.folder / "samples"

        def draw_grids() -> dict[str, Tensor]:
            """uint8 [3, H, W] each."""
            return {name: data.draw(x.float().cpu(), columns) for name, (x, columns) in model.pictures(data).items()}

        with self.run.record.outside_training():
            grids = self.run.find(Signals).unless_stopped(draw_grids)
            if grids is None:
                return False
            folder.mkdir(exist_ok=True)
            self.newest = [folder / f"{name}-kimg{model.images_seen / 1000:010.3f}.png" for name in grids]
            for path, (name, grid) in zip(self.newest, grids.items(), strict=True):
                save_png(path, grid)
                log_picture(trainer.loggers, name, grid, model.images_seen)
        return True

    def _write_latents(self, trainer: Trainer, model) -> list[Path]:
        """Write what lies between and beside the samples, enlarged, to the run folder; nothing if a signal stops it."""
        data, written = self.run.experiment.data, []

        def draw_grids() -> dict[str, Tensor]:
            try:
                return {name: data.draw(x.float().cpu(), n) for name, (x, n) in latent_pictures(model, data).items()}
            except Exception as error:  # of a user's model with a sample of its own; a training must not end by it
                log.info("No pictures of the latents: decode(z) fails with %s: %s", type(error).__name__, error)
                return {}

        with self.run.record.outside_training():
            for name, grid in (self.run.find(Signals).unless_stopped(draw_grids) or {}).items():
                written.append(self.run.record.folder / f"{name}.png")
                save_enlarged(written[-1], to_pillow(grid))
                log_picture(trainer.loggers, name, grid, model.images_seen)
        return written


def write_enlarged(path: Path, folder: Path) -> Path:
    """Copy a grid, NAME-kimgN.png, to NAME.png in the folder, enlarged by a whole factor. Return the copy."""
    target = folder / f"{path.stem.rpartition('-kimg')[0]}.png"
    with Image.open(path) as picture:
        save_enlarged(target, picture)
    return target


def log_picture(loggers, name: str, picture: Tensor, step: int) -> None:
    """Send a picture, uint8 [3, H, W], to the loggers that can show one."""
    for logger in loggers:
        if hasattr(logger.experiment, "add_image"):
            logger.experiment.add_image(f"{PICTURES}/{name}", picture, step)
        elif hasattr(logger, "log_image"):
            logger.log_image(name, [picture.permute(1, 2, 0).numpy()], step=step)
