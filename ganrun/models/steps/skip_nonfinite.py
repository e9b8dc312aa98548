"""Turns that are not taken, because their gradient is no number."""

from typing import Any

from ganrun.models.steps.snapshot import Snapshot


class NonfiniteStepSkipper:
    """What a model asks about each turn between its backward pass and its step: whether the gradient is finite.

    To know that, it waits for the device, once a turn. A turn that is refused leaves no trace but its random draws: no
    weight and no average moves, buffers (BatchNorm's statistics) and extra states (an image pool) are as before it.
    All ranks decide alike, since their gradients are averaged by then.
    Under trainer.precision=16-mixed the gradients are still scaled: one that overflows is refused, counted, and lowers
    the scale as GradScaler does by itself.

    counts: player -> turns refused so far.  in_a_row: of these, since the last one that was taken.
    """

    def __init__(self):
        self.counts: dict[str, int] = {}
        self.in_a_row: dict[str, int] = {}

    def save_state(self, model) -> None:
        """Keeps what a turn's passes change beside gradients."""
        self.before = Snapshot(model.buffers(), model.modules())

    def accepts(self, model, player: str, optimizer: Any) -> bool:
        """Whether `player`'s turn is to be taken; undoes it where not. optimizer: Lightning's, of this player."""
        if model.gradient_norm(player).isfinite():
            self.in_a_row[player] = 0
            return True
        for counts in (self.counts, self.in_a_row):
            counts[player] = counts.get(player, 0) + 1
        scaler = grad_scaler(model.trainer)
        if scaler:
            scaler.unscale_(optimizer.optimizer)
            scaler.update()
        optimizer.zero_grad()
        self.before.restore()
        return False


def grad_scaler(trainer):
    """The GradScaler of trainer.precision=16-mixed; None at any other precision."""
    return getattr(trainer.precision_plugin, "scaler", None)
