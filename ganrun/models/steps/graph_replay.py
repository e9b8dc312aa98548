"""Turns that are recorded once and replayed, so that a GPU is told of each as a whole: CUDA graphs.

Of small networks a step consists of some hundred kernels that take less time than asking for them does.
"""

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ganrun.models.steps.recording import Recording, packed, put_steps, recordable
from ganrun.models.steps.snapshot import Snapshot

log = logging.getLogger(__name__)
WARM_UP = 3  # turns of a player before it is recorded: kernels are chosen, the optimizer's state is made
PROOFS = 2  # of its first replays
NEAR = 0.02  # how far terms and gradients of a replay may lie, relative to their size, from the turn's taken as it is
NEAR_STEP = 0.25  # and its step: Adam makes whole steps of gradients that are nothing but rounding


class Replays:
    """Takes the turns of a model's players: the first few as they are, then by replaying a recording.

    A player's first two replays are proved: the turn is taken as it is, too, from the same state, and both have to
    end alike. Where it cannot be recorded, or they do not, all turns are taken as they are, and a message says so.

    What a turn computes from numbers of Python's that change from batch to batch is not seen by a replay, and a small
    change may not be seen by the proof either: such numbers have to be tensors on the device, as ImagePool's are.

    model: an Adversarial on one device.  recorder: CudaGraphs, or what does the like.
    """

    def __init__(self, model, recorder):
        self.model, self.recorder = model, recorder
        self.batch: dict[str, Tensor] = {}  # what all recordings compute with
        self.latest: Mapping[str, Tensor] | None = None  # the batch that was copied there
        self.turns: dict[str, int] = {}  # player -> turns taken so far
        self.recordings: dict[str, Recording] = {}
        self.is_given_up = False

    def take(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The terms of `player`'s turn on the batch. optimizer: Lightning's, of this player."""
        turn = self.turns[player.name] = self.turns.get(player.name, 0) + 1
        if self.is_given_up:
            return self.model.take_turn(player, optimizer, batch)
        if turn > WARM_UP + PROOFS:
            return self._replayed(player, optimizer, batch)
        with self.recorder.aside():
            take = self._proved if turn > WARM_UP else self.model.take_turn
            return take(player, optimizer, batch)

    def _replayed(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self._receive(batch)
        recording = self.recordings[player.name]
        for rate, group in zip(recording.rates, optimizer.param_groups, strict=False):
            rate.fill_(group["lr"])
        recording.replay()
        return recording.terms()

    def _receive(self, batch: Mapping[str, Tensor]) -> None:
        if not self.batch:
            self.batch = {key: value.clone() for key, value in batch.items()}
        elif batch is not self.latest:
            for key, value in self.batch.items():
                value.copy_(batch[key])
        self.latest = batch

    def _proved(self, player, optimizer, batch: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        weights = self.model.moved(player)
        put_steps(optimizer, on_device=True)
        before, draws, start = self._state(optimizer), draws_of(self.model.device), flat(weights)

        def start_again() -> None:
            before.put_back()
            for generator, state in draws:
                generator.set_state(state)

        def outcome(terms) -> tuple[Tensor, Tensor, Tensor]:
            gradients = [w.grad for w in weights if w.grad is not None]
            return packed(terms), flat(gradients), flat(weights) - start

        wanted = outcome(self.model.take_turn(player, optimizer, batch))
        start_again()
        try:
            if player.name not in self.recordings:
                self.recordings[player.name] = self._recorded(player, optimizer, batch)
            terms = self._replayed(player, optimizer, batch)
        except (RuntimeError, AssertionError) as error:
            self._give_up(player, reason_of(error))
        else:
            for w, gradient in zip(weights, self.recordings[player.name].gradients, strict=True):
                w.grad = gradient  # where the replays leave it
            if all(map(near, outcome(terms), wanted, (NEAR, NEAR, NEAR_STEP))):
                return terms
            self._give_up(player, "replayed, it ends elsewhere")
        start_again()
        put_steps(optimizer, on_device=False)
        return self.model.take_turn(player, optimizer, batch)

    def _recorded(self, player, optimizer, batch: Mapping[str, Tensor]) -> Recording:
        self._receive(batch)
        rates = [group["lr"] for group in optimizer.param_groups] if self.model.schedule else []
        recording = Recording([torch.tensor(rate, dtype=torch.float32, device=self.model.device) for rate in rates])
        with recordable(optimizer, recording.rates):
            recording.replay = self.recorder.record(
                lambda: recording.keep(self.model.take_turn(player, optimizer, self.batch))
            )
        recording.gradients = [w.grad for w in self.model.moved(player)]
        return recording

    def _state(self, optimizer) -> Snapshot:
        """All that a turn changes."""
        state = [value for entry in optimizer.state.values() for value in entry.values() if torch.is_tensor(value)]
        return Snapshot([*self.model.parameters(), *self.model.buffers(), *state], self.model.modules())

    def _give_up(self, player, reason: str) -> None:
        self.is_given_up = True
        self.recordings.clear()
        log.warning(
            "The turn of the %s cannot be replayed as a CUDA graph: %s. The training goes on without, as with "
            "trainer.compile=off.",
            player.name,
            reason,
        )


def flat(weights: Sequence[Tensor]) -> Tensor:
    return torch.cat([w.detach().flatten() for w in weights])


def near(found: Tensor, wanted: Tensor, share: float) -> bool:
    """Whether the difference is no more than this share of what is wanted."""
    return bool((found - wanted).norm() <= share * wanted.norm())


def draws_of(device: torch.device) -> list[tuple[torch.Generator, Tensor]]:
    """The default generators of the CPU and of the device, each with where it stands."""
    on_device = [torch.cuda.default_generators[device.index or 0]] if device.type == "cuda" else []
    return [(generator, generator.get_state()) for generator in (torch.default_generator, *on_device)]


def reason_of(error: BaseException) -> str:
    """The first line of what came first: what follows is only that the recording broke off."""
    while error.__context__:
        error = error.__context__
    return (str(error) or type(error).__name__).splitlines()[0]
