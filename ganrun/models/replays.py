"""Turns that are recorded once and replayed, so that a GPU is told of each as a whole: CUDA graphs.

Of small networks a step consists of some hundred kernels that take less time than asking for them does.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ganrun.models.snapshot import Snapshot

log = logging.getLogger(__name__)
WARM_UP = 3  # turns of a player before it is recorded: kernels are chosen, the optimizer's state is made
PROOFS = 2  # of its first replays
NEAR = 0.02  # how far terms and gradients of a replay may lie, relative to their size, from the turn's taken as it is
NEAR_STEP = 0.25  # and its step: Adam makes whole steps of gradients that are nothing but rounding


class CudaGraphs:
    """Records what is asked of a CUDA device, as a graph."""

    def __init__(self, device: torch.device):
        self.device, self.side = device, torch.cuda.Stream(device)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done within runs on a stream of its own, as what is to be recorded has to beforehand."""
        current = torch.cuda.current_stream(self.device)
        self.side.wait_stream(current)
        with torch.cuda.stream(self.side):
            yield
        current.wait_stream(self.side)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does the work again, in the same memory. Nothing is done while it is recorded."""
        graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
        try:
            # Other threads may go on meanwhile: one of them pins batches.
            with torch.cuda.graph(graph, pool=pool, stream=self.side, capture_error_mode="thread_local"):
                work()
        except BaseException:
            self._clear_up(pool)
            raise
        return graph.replay

    def _clear_up(self, pool) -> None:
        """A recording that breaks off leaves the allocator and the generator believing that it goes on."""
        index = self.device.index or 0
        end = getattr(torch._C, "_cuda_endAllocateToPool", None) or torch._C._cuda_endAllocateCurrentStreamToPool
        with suppress(RuntimeError):  # a torch that has ended it by itself
            end(index, pool)
            torch._C._cuda_releasePool(index, pool)
        fresh = torch.Generator(self.device)
        torch.cuda.default_generators[index].graphsafe_set_state(fresh.graphsafe_get_state())


@dataclass
class Recording:
    """A player's turn: what a replay reads beside the batch, and what it leaves behind."""

    rates: list[Tensor]  # of the optimizer's groups, where they change
    shapes: dict[str, torch.Size] = field(default_factory=dict)
    values: Tensor | None = None  # all terms, one after the other
    gradients: list[Tensor | None] = field(default_factory=list)
    replay: Callable[[], None] = lambda: None

    def keep(self, terms: Mapping[str, Tensor]) -> None:
        self.shapes = {name: value.shape for name, value in terms.items()}
        self.values = packed(terms)

    def terms(self) -> dict[str, Tensor]:
        """The terms of the latest replay, which the next one does not touch, in float32 at least."""
        parts = self.values.clone().split([shape.numel() for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}


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


def put_steps(optimizer, on_device: bool) -> None:
    """Puts the counts of an optimizer's steps on the device, or where torch has them."""
    for group in optimizer.param_groups:
        for w in group["params"]:
            entry = optimizer.state.get(w, {})
            if torch.is_tensor(entry.get("step")):
                is_there = on_device or group.get("fused") or group.get("capturable")
                entry["step"] = entry["step"].to(w.device if is_there else "cpu")


@contextmanager
def recordable(optimizer, rates: Sequence[Tensor]) -> Iterator[None]:
    """Has the optimizer do all on the device for a while, and read its rates there where there are any."""
    groups = optimizer.param_groups
    own = [dict(group) for group in groups]
    for group in groups:
        if "capturable" in group and any(w.is_cuda for w in group["params"]):
            group["capturable"] = True
    for group, rate in zip(groups, rates, strict=False):
        group["lr"] = rate
    try:
        yield
    finally:
        for group, before in zip(groups, own, strict=True):
            group.update(before)


def packed(terms: Mapping[str, Tensor]) -> Tensor:
    """All values, one after the other, in float32 at least."""
    flattened = [value.detach().flatten() for value in terms.values()]
    return torch.cat([part.double() if part.dtype == torch.float64 else part.float() for part in flattened])


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
