"""Steps that are skipped because their gradient is NaN or Inf."""

from typing import Any

from ganrun.models.steps.snapshot import Snapshot


class NonfiniteStepSkipper:
    """Decides between a player's backward pass and its optimizer step whether the gradient is finite.

    This waits for the device once per step. A skipped step leaves no trace but its random numbers: weights, averages,
    buffers and extra states (an image pool) are as before. All ranks decide alike: gradients are averaged by then.
    Under trainer.precision=16-mixed, an overflow of the scaled gradients also lowers the scale, as in GradScaler.

    counts: player -> number of skipped steps.  in_a_row: player -> skipped steps since the last one taken.
    """

    def __init__(self):
        self.counts: dict[str, int] = {}
        self.in_a_row: dict[str, int] = {}

    def save_state(self, model) -> None:
        """Copy what the forward and backward passes of a step change, besides gradients."""
        self.before = Snapshot(model.buffers(), model.modules())

    def accepts(self, model, player: str, optimizer: Any) -> bool:
        """Return whether the player's gradient is finite; if not, undo the step. optimizer: the player's."""
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
    """Return the GradScaler of trainer.precision=16-mixed; None at any other precision."""
    return getattr(trainer.precision_plugin, "scaler", None)
