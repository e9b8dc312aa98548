"""When something is due that happens again and again in a training."""


class Cadence:
    """Every so many thousand images, or ten times a training where none are given.

    What is due stays due until it is `done`, also in a training that was interrupted in between and goes on.
    """

    def __init__(self, every_kimg: float | None):
        self.every_kimg = every_kimg
        self.marks = self.pending = 0
        self.images = -1

    def start(self, model) -> None:
        """The training begins or goes on; its marks may have moved."""
        self.marks = self._marks(model) - self.pending

    def is_due(self, model) -> bool:
        """Whether a mark was passed since the last one that is done."""
        self.pending = int(self._marks(model) > self.marks)
        return bool(self.pending)

    def done(self, model) -> None:
        self.marks, self.pending, self.images = self._marks(model), 0, model.images_seen

    def is_missing(self, model) -> bool:
        """Whether the model has moved on since the last time it was done."""
        return self.images != model.images_seen

    def state_dict(self) -> dict:
        return {"pending": self.pending, "images": self.images}

    def load_state_dict(self, state: dict) -> None:
        self.pending, self.images = state["pending"], state["images"]

    def _marks(self, model) -> int:
        if self.every_kimg:
            return int(model.images_seen / (1000 * self.every_kimg))
        return int(10 * model.progress + 1e-6)
