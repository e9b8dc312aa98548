"""When something is due that happens again and again in a training."""


class Cadence:
    """Every so many thousand images, or ten times a training where none are given."""

    def __init__(self, every_kimg: float | None):
        self.every_kimg = every_kimg
        self.marks = 0
        self.images = -1

    def start(self, model) -> None:
        self.marks = self._marks(model)

    def is_due(self, model) -> bool:
        """Whether a mark was passed since the last call."""
        marks = self._marks(model)
        due, self.marks = marks > self.marks, marks
        self.images = model.images_seen if due else self.images
        return due

    def is_missing(self, model) -> bool:
        """Whether the model has moved on since the last time it was due."""
        return self.images != model.images_seen

    def _marks(self, model) -> int:
        if self.every_kimg:
            return int(model.images_seen / (1000 * self.every_kimg))
        return int(10 * model.progress + 1e-6)
