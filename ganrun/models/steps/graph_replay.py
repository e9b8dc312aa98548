"""Turns that are recorded once and replayed, so that a GPU is told of each as a whole: CUDA graphs.

Of small networks a step consists of some hundred kernels that take less time than asking for them does.
"""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ganrun.models.steps.captured_step import CapturedStep, capturable, concatenate_terms, move_step_counts
from ganrun.models.steps.snapshot import Snapshot

log = logging.getLogger(__name__)
WARMUP_STEPS = 3  # turns of a player before it is recorded: kernels are chosen, the optimizer's state is made
VERIFIED_REPLAYS = 2  # of its first replays
TOLERANCE = (
    0.02  # how far terms and gradients of a replay may lie, relative to their size, from the turn's taken as it is
)
STEP_TOLERANCE = 0.25  # and its step: Adam makes whole steps of gradients that are nothing but rounding


class GraphedSteps:
    """Takes the turns of a model's players: the first few as they are, then by replaying a step.

    A player's first two replays are proved: the turn is taken as it is, too, from the same state, and both have to
    end alike. Where it cannot be recorded, or they do not, all turns are taken as they are, and a message says so.

    What a turn computes from numbers of Python's that change from batch to batch is not seen by a replay, and a small
    change may not be seen by the proof either: such numbers have to be tensors on the device, as ImagePool's are.

    model: an Adversarial on one device.  recorder: CudaGraphs, or what does the like.
    """

    def __init__(self, model, graphs):
        self.model, self.graphs = model, graphs
        self.batch: dict[str, Tensor] = {}  # what all recordings compute with
        self.latest: Mapping[str, Tensor] | None = None  # the batch that was copied there
        self.turns_taken: dict[str, int] = {}  # player -> turns taken so far
        self.captured: dict[str, CapturedStep] = {}
        self.is_disabled = False

    def take_turn(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The terms of `player`'s turn on the batch. optimizer: Lightning's, of this player."""
        turn = self.turns_taken[player.name] = self.turns_taken.get(player.name, 0) + 1
        if self.is_disabled:
            return self.model.take_turn(player, optimizer, batch)
        if turn > WARMUP_STEPS + VERIFIED_REPLAYS:
            return self._replay(player, optimizer, batch)
        with self.graphs.side_stream():
            take = self._verify if turn > WARMUP_STEPS else self.model.take_turn
            return take(player, optimizer, batch)

    def _replay(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self._copy_batch(batch)
        step = self.captured[player.name]
        for rate, group in zip(step.rates, optimizer.param_groups, strict=False):
            rate.fill_(group["lr"])
        step.replay()
        return step.terms()

    def _copy_batch(self, batch: Mapping[str, Tensor]) -> None:
        if not self.batch:
            self.batch = {key: value.clone() for key, value in batch.items()}
        elif batch is not self.latest:
            for key, value in self.batch.items():
                value.copy_(batch[key])
        self.latest = batch

    def _verify(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        weights = self.model.parameters_of(player)
        move_step_counts(optimizer, on_device=True)
        before, draws, start = self._state(optimizer), rng_states(self.model.device), flatten(weights)

        def start_again() -> None:
            before.restore()
            for generator, state in draws:
                generator.set_state(state)

        def outcome(terms) -> tuple[Tensor, Tensor, Tensor]:
            gradients = [w.grad for w in weights if w.grad is not None]
            return concatenate_terms(terms), flatten(gradients), flatten(weights) - start

        wanted = outcome(self.model.take_turn(player, optimizer, batch))
        start_again()
        try:
            if player.name not in self.captured:
                self.captured[player.name] = self._capture(player, optimizer, batch)
            terms = self._replay(player, optimizer, batch)
        except (RuntimeError, AssertionError) as error:
            self._disable(player, root_cause(error))
        else:
            for w, gradient in zip(weights, self.captured[player.name].gradients, strict=True):
                w.grad = gradient  # where the replays leave it
            if all(map(is_close, outcome(terms), wanted, (TOLERANCE, TOLERANCE, STEP_TOLERANCE))):
                return terms
            self._disable(player, "replayed, it ends elsewhere")
        start_again()
        move_step_counts(optimizer, on_device=False)
        return self.model.take_turn(player, optimizer, batch)

    def _capture(self, player, optimizer, batch: Mapping[str, Tensor]) -> CapturedStep:
        self._copy_batch(batch)
        rates = [group["lr"] for group in optimizer.param_groups] if self.model.schedule else []
        step = CapturedStep([torch.tensor(rate, dtype=torch.float32, device=self.model.device) for rate in rates])
        with capturable(optimizer, step.rates):
            step.replay = self.graphs.capture(lambda: step.store(self.model.take_turn(player, optimizer, self.batch)))
        step.gradients = [w.grad for w in self.model.parameters_of(player)]
        return step

    def _state(self, optimizer) -> Snapshot:
        """All that a turn changes."""
        state = [value for entry in optimizer.state.values() for value in entry.values() if torch.is_tensor(value)]
        return Snapshot([*self.model.parameters(), *self.model.buffers(), *state], self.model.modules())

    def _disable(self, player, reason: str) -> None:
        self.is_disabled = True
        self.captured.clear()
        log.warning(
            "The turn of the %s cannot be replayed as a CUDA graph: %s. The training goes on without, as with "
            "trainer.compile=off.",
            player.name,
            reason,
        )


def flatten(weights: Sequence[Tensor]) -> Tensor:
    return torch.cat([w.detach().flatten() for w in weights])


def is_close(found: Tensor, wanted: Tensor, share: float) -> bool:
    """Whether the difference is no more than this share of what is wanted."""
    return bool((found - wanted).norm() <= share * wanted.norm())


def rng_states(device: torch.device) -> list[tuple[torch.Generator, Tensor]]:
    """The default generators of the CPU and of the device, each with where it stands."""
    on_device = [torch.cuda.default_generators[device.index or 0]] if device.type == "cuda" else []
    return [(generator, generator.get_state()) for generator in (torch.default_generator, *on_device)]


def root_cause(error: BaseException) -> str:
    """The first line of what came first: what follows is only that the step broke off."""
    while error.__context__:
        error = error.__context__
    return (str(error) or type(error).__name__).splitlines()[0]
