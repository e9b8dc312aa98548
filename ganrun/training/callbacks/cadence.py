"""When a recurring task of a training is due."""


class Cadence:
    """A task that is due every `every_kimg` thousand images, or ten times a training if that is None.

    It stays due until `mark_done`, also over an interruption of the training.
    """

    def __init__(self, every_kimg: float | None):
        self.every_kimg = every_kimg
        self.marks = self.pending = 0
        self.images = -1

    def start(self, model) -> None:
        """Start or resume counting; `every_kimg` may have changed since the checkpoint."""
        self.marks = self._count_marks(model) - self.pending

    def is_due(self, model) -> bool:
        """Return whether a mark was passed since the task was last done."""
        self.pending = int(self._count_marks(model) > self.marks)
        return bool(self.pending)

    def passed(self, model) -> int:
        """Return the number of marks that were passed since the task was last done."""
        return self._count_marks(model) - self.marks

    def mark_done(self, model) -> None:
        self.marks, self.pending, self.images = self._count_marks(model), 0, model.images_seen

    def is_outdated(self, model) -> bool:
        """Return whether the model was trained since the task was last done."""
        return self.images != model.images_seen

    def state_dict(self) -> dict:
        return {"pending": self.pending, "images": self.images}

    def load_state_dict(self, state: dict) -> None:
        self.pending, self.images = state["pending"], state["images"]

    def _count_marks(self, model) -> int:
        if self.every_kimg:
            return int(model.images_seen / (1000 * self.every_kimg))
        return int(10 * model.progress + 1e-6)
