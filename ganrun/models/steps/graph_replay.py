"""Players' steps captured once as CUDA graphs and replayed.

A step of a small network consists of some hundred kernels, each shorter than the time Python takes to launch it.
A graph launches them all at once.
"""

import logging
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from ganrun.models.steps.captured_step import CapturedStep, capturable, concatenate_terms, move_step_counts
from ganrun.models.steps.snapshot import Snapshot

Form = tuple[str, Hashable]  # a player's name and the form of its step
log = logging.getLogger(__name__)
WARMUP_STEPS = 3  # of a player before the capture: kernels are chosen, the optimizer's state is created
VERIFIED_REPLAYS = 2
TOLERANCE = 0.02  # largest relative difference between terms and gradients of a replay and of the step itself
STEP_TOLERANCE = 0.25  # the same for the weights' change: where gradients are only rounding errors, Adam amplifies them


class GraphedSteps:
    """Takes a model's steps: each player's first ones as usual, then by replaying a captured CUDA graph.

    The first two replays of each player are verified against the same step taken as usual. If they differ, or the
    capture fails, all steps are taken as usual and a warning is logged.
    A replay does not see Python numbers that change from batch to batch, and the verification may miss small changes.
    Such numbers must be tensors on the device, as in ImagePool. A step of several forms, such as one with a penalty in
    some turns only, must name the form (`Player.form`): a graph is captured for each. A player whose loss is None in
    one of the steps before the capture always moves as usual; a replay cannot see a loss become None later.
    A learning rate that something other than the schedule changes costs a new capture.

    model: an Adversarial on one device.  graphs: CudaGraphCapture, or a stand-in.
    """

    def __init__(self, model, graphs):
        self.model, self.graphs = model, graphs
        self.batch: dict[str, Tensor] = {}  # the memory that all captured steps read
        self.copied_batch: Mapping[str, Tensor] | None = None  # the batch last copied to that memory
        self.steps_taken: Counter[Form] = Counter()
        self.captured: dict[Form, CapturedStep] = {}
        self.newest: dict[str, CapturedStep] = {}  # player -> the step that left its gradients
        self.usual: set[str] = set()  # players that sit out turns
        self.is_disabled = False

    def take_turn(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        """Take one step of the player and return the terms of its loss, or None. optimizer: the player's."""
        if self.is_disabled or player.name in self.usual:
            return self.model.take_turn(player, optimizer, batch)
        form = player.name, player.form()
        self.steps_taken[form] += 1
        if self.steps_taken[form] > WARMUP_STEPS + VERIFIED_REPLAYS:
            if self.captured[form].set_rates(rates_of(optimizer)):
                return self._replay(form, batch)
            self.steps_taken[form] = WARMUP_STEPS + 1  # capture it again: it computes with the old learning rates
        with self.graphs.side_stream():
            if self.steps_taken[form] > WARMUP_STEPS:
                return self._verify(player, form, optimizer, batch)
            terms = self.model.take_turn(player, optimizer, batch)
            return self._check_step(player, optimizer, terms)

    def _check_step(self, player, optimizer, terms: Mapping[str, Tensor] | None) -> Mapping[str, Tensor] | None:
        """Return the terms of a step taken as usual. If there was none, the player is never replayed."""
        self.newest.pop(player.name, None)
        if terms is None:
            self.usual.add(player.name)
            move_step_counts(optimizer, on_device=False)
        return terms

    def _replay(self, form: Form, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self._copy_batch(batch)
        player, step = form[0], self.captured[form]
        step.replay()
        if self.newest.get(player) is not step:
            self.newest[player] = step
            for w, gradient in zip(self.model.parameters_of[player], step.gradients, strict=True):
                w.grad = gradient  # the memory that replays write to
        return step.terms()

    def _copy_batch(self, batch: Mapping[str, Tensor]) -> None:
        if not self.batch:
            self.batch = {key: value.clone() for key, value in batch.items()}
        elif batch is not self.copied_batch:
            for key, value in self.batch.items():
                value.copy_(batch[key])
        self.copied_batch = batch

    def _verify(self, player, form: Form, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        weights = self.model.parameters_of[player.name]
        move_step_counts(optimizer, on_device=True)
        moments = [value for entry in optimizer.state.values() for value in entry.values() if torch.is_tensor(value)]
        before = Snapshot([*self.model.parameters(), *self.model.buffers(), *moments], self.model.modules())
        generators, start = rng_states(self.model.device), flatten(weights)

        def restore() -> None:
            before.restore()
            for generator, state in generators:
                generator.set_state(state)

        def results(terms) -> tuple[Tensor, Tensor, Tensor]:
            gradients = [w.grad for w in weights if w.grad is not None]
            return concatenate_terms(terms), flatten(gradients), flatten(weights) - start

        terms = self._check_step(player, optimizer, self.model.take_turn(player, optimizer, batch))
        if terms is None:
            return None
        expected = results(terms)
        restore()
        try:
            step = self.captured.get(form)
            if not (step and step.set_rates(rates_of(optimizer))):
                self.captured[form] = self._capture(player, optimizer, batch)
            terms = self._replay(form, batch)
        except Exception as error:  # torch's optimizers that cannot be captured raise errors of many kinds
            self._disable(player, root_cause(error))
        else:
            if all(map(is_close, results(terms), expected, (TOLERANCE, TOLERANCE, STEP_TOLERANCE))):
                return terms
            self._disable(player, "its replay gives another result")
        restore()
        move_step_counts(optimizer, on_device=False)
        return self.model.take_turn(player, optimizer, batch)

    def _capture(self, player, optimizer, batch: Mapping[str, Tensor]) -> CapturedStep:
        self._copy_batch(batch)
        rates, device = rates_of(optimizer), self.model.device
        scheduled = rates if self.model.schedule else []  # not all optimizers take them from the device
        step = CapturedStep(rates, [torch.tensor(rate, dtype=torch.float32, device=device) for rate in scheduled])
        with capturable(optimizer, step.learning_rates):
            step.replay = self.graphs.capture(lambda: step.store(self.model.take_turn(player, optimizer, self.batch)))
        step.gradients = [w.grad for w in self.model.parameters_of[player.name]]
        return step

    def _disable(self, player, reason: str) -> None:
        self.is_disabled = True
        self.captured.clear()
        step = f"The step of the {player.name} cannot be replayed as a CUDA graph: {reason}."
        log.warning("%s Training continues without graphs, as with trainer.compile=off.", step)


def rates_of(optimizer) -> list[float]:
    """Return the learning rates of the optimizer's groups."""
    return [group["lr"] for group in optimizer.param_groups]


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """Return all tensors as one vector."""
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def is_close(result: Tensor, expected: Tensor, tolerance: float) -> bool:
    """Return whether the norm of the difference is at most this share of the expected norm."""
    return bool((result - expected).norm() <= tolerance * expected.norm())


def rng_states(device: torch.device) -> list[tuple[torch.Generator, Tensor]]:
    """Return the default generators of the CPU and of the device, each with its state."""
    on_device = [torch.cuda.default_generators[device.index or 0]] if device.type == "cuda" else []
    return [(generator, generator.get_state()) for generator in (torch.default_generator, *on_device)]


def root_cause(error: BaseException) -> str:
    """Return the first line of the first error in the chain; the later ones only say that the capture failed."""
    while error.__context__:
        error = error.__context__
    return (str(error) or type(error).__name__).splitlines()[0]
