"""Pictures while training."""

from pathlib import Path

from pytorch_lightning import Callback
from torch import Tensor

from ganrun.data.images import save_png
from ganrun.training.callbacks.cadence import Cadence
from ganrun.training.callbacks.signals import Signals
from ganrun.training.run_record import RunRecord


class Samples(Callback):
    """Draws model.pictures at every mark and at the end, to samples/ in the run folder and to loggers that show any."""

    def __init__(self, data, record: RunRecord, every_kimg: float | None, signals: Signals):
        """signals: end a drawing, which then stays due."""
        self.data, self.record, self.signals = data, record, signals
        self.cadence = Cadence(every_kimg)
        self.folder = record.folder / "samples"
        self.newest: list[Path] = []

    def on_train_start(self, trainer, model):
        self.cadence.start(model)
        self._draw_if_due(trainer, model)

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self._draw_if_due(trainer, model)

    def on_train_end(self, trainer, model):
        if self.cadence.is_missing(model):
            self._draw(trainer, model)

    def state_dict(self) -> dict:
        return self.cadence.state_dict()

    def load_state_dict(self, state: dict) -> None:
        self.cadence.load_state_dict(state)

    def _draw_if_due(self, trainer, model) -> None:
        if self.cadence.is_due(model) and self._draw(trainer, model):
            self.cadence.done(model)

    def _draw(self, trainer, model) -> bool:
        """Whether it was done."""
        if not trainer.is_global_zero:
            return True
        with self.record.outside_training():
            pictures = self.signals.unless_stopped(lambda: render_pictures(model, self.data))
            if pictures is None:
                return False
            self.folder.mkdir(exist_ok=True)
            self.newest = []
            for name, picture in pictures.items():
                path = self.folder / f"{name}-kimg{model.images_seen / 1000:010.3f}.png"
                save_png(path, picture)
                self.newest.append(path)
                log_picture(trainer.loggers, name, picture, model.images_seen)
        return True


def render_pictures(model, data) -> dict[str, Tensor]:
    """The model's pictures: {name: uint8 [3, H, W]}."""
    found = model.pictures(data)
    return {name: data.draw(examples.float().cpu(), columns) for name, (examples, columns) in found.items()}


def log_picture(loggers, name: str, picture: Tensor, step: int) -> None:
    """Hands a picture, uint8 [3, H, W], to the loggers that can show one."""
    for logger in loggers:
        if hasattr(logger.experiment, "add_image"):
            logger.experiment.add_image(name, picture, step)
        elif hasattr(logger, "log_image"):
            logger.log_image(name, [picture.permute(1, 2, 0).numpy()], step=step)
