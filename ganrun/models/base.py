"""What every adversarial model shares: whose turn it is, the steps, the noise's seeds, the averaged networks."""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ganrun.models.ema import ExponentialMovingAverage
from ganrun.models.steps.graph_replay import GraphedSteps
from ganrun.models.steps.skip_nonfinite import NonfiniteStepSkipper
from ganrun.seeds import seed_training_noise

Batch = Mapping[str, Tensor]
Terms = Mapping[str, Tensor]


@dataclass
class Player:
    """One side of the game: the weights it moves, the loss it lowers, and how often.

    name:   key of its optimizer in the config and of its curves, train/<name>/<term>
    nets:   modules whose parameters it moves; all others are frozen during its turn
    loss:   batch -> scalar, or {"loss": scalar, other terms to log}; a term of several values is logged as its mean.
            Scores of as many real and fake examples under real and fake (or real_<side>, fake_<side>) give the
            share of pairs that are told apart, accuracy (or accuracy_<side>), as well
    every:  takes its turn on every `every`-th training batch (n_critic is the generator's `every`)
    """

    name: str
    nets: Iterable[nn.Module]
    loss: Callable[[Batch], Tensor | Terms]
    every: int = 1


class Adversarial(pl.LightningModule):
    """Base class. A model is its networks, `players()` and one loss method per player.

    optimizers: player name -> (parameters -> Optimizer).
    schedule: share of the training done, 0..1 -> factor of the learning rates.
    average: how the networks named by `averages` are averaged.  clip: largest gradient norm of a player.
    """

    needs: tuple[str, ...] = ("x",)  # what the data must give: keys of a batch, or "picture" where only those will do
    averages: tuple[str, ...] = ()  # attributes of the networks that samples come from

    def __init__(
        self,
        optimizers: Mapping[str, Callable[..., torch.optim.Optimizer]],
        schedule: Callable[[float], float] | None = None,
        average: ExponentialMovingAverage | None = None,
        clip: float | None = None,
        channels_last: bool = False,
        seed: int = 0,
    ):
        super().__init__()
        self.automatic_optimization = False
        self.make_optimizer, self.schedule, self.average, self.clip = dict(optimizers), schedule, average, clip
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.seed = seed
        self.averaged = nn.ModuleDict()
        self.terms: dict[str, Terms] = {}  # of each player's last turn that was taken, on the device
        self.batches_seen = self.images_seen = 0  # over all ranks; Lightning's global_step counts optimizer steps
        self.progress = 0.0  # share of the training done, kept by callbacks/length.py
        self.after_batch: Callable[[], None] | None = None  # set by callbacks/together.py
        self.guard: NonfiniteStepSkipper | None = None  # asked whether a turn is to be taken, set by callbacks/guard.py
        self.graphed_steps: GraphedSteps | None = None  # takes the turns from recordings, set by callbacks/compiling.py

    # ---- what a model writes -----------------------------------------------------------------------------------------
    def players(self) -> list[Player]:
        """The players, in the order in which they move within one batch."""
        raise NotImplementedError

    def after_turn(self, player: Player) -> None:
        """Called after `player`'s step: weight clipping and the like."""

    def pictures(self, data) -> dict[str, tuple[Tensor, int]]:
        """What there is to look at: name -> (examples [N, ...] as `data.draw` takes them, columns of their grid)."""
        raise NotImplementedError

    # ---- what the trainer calls --------------------------------------------------------------------------------------
    def configure_model(self) -> None:
        # Lightning calls this before it fills in a checkpoint, so the averages are there to be filled.
        for name in self.averages if self.average else ():
            if name not in self.averaged:
                self.averaged[name] = copy.deepcopy(getattr(self, name)).requires_grad_(False).eval()

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        self._players = self.players()
        self._moved = {
            p.name: [w for net in p.nets for w in net.parameters() if w.requires_grad] for p in self._players
        }
        return [self.make_optimizer[p.name](self._moved[p.name]) for p in self._players]

    def on_fit_start(self) -> None:
        self.train()
        self.averaged.eval()
        optimizers = self.optimizers()
        self._optimizers = optimizers if isinstance(optimizers, list) else [optimizers]

    def on_fit_end(self) -> None:
        for weights in self._moved.values():
            for w in weights:
                w.requires_grad_(True)

    def training_step(self, batches: Iterable[Batch], batch_idx: int) -> None:
        # Several batches in one of Lightning's steps, whose hooks cost a millisecond whatever stands in it.
        if torch.is_autocast_enabled(self.device.type):
            torch.set_autocast_cache_enabled(False)  # it would keep the weights of the first batch, cast, for all
        for batch in batches:
            self._train_on(batch)
            if self.after_batch:
                self.after_batch()
            if self.trainer.should_stop:
                return

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # Here, not before optimizer.step(): in 16-mixed the gradients are unscaled only by now.
        if self.clip is not None:
            nn.utils.clip_grad_norm_([w for group in optimizer.param_groups for w in group["params"]], self.clip)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["seen"] = {"batches": self.batches_seen, "images": self.images_seen, "progress": self.progress}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        seen = checkpoint["seen"]
        self.batches_seen, self.images_seen, self.progress = seen["batches"], seen["images"], seen["progress"]

    # ---- mechanics ---------------------------------------------------------------------------------------------------
    def net(self, name: str) -> nn.Module:
        """The averaged copy of a network where there is one, else the network itself."""
        return self.averaged[name] if name in self.averaged else getattr(self, name)

    def gradient_norm(self, player: str) -> Tensor:
        """Norm of the gradient of that player's last turn, as its optimizer took it (clipped, where it is): scalar."""
        gradients = [w.grad for w in self._moved[player] if w.grad is not None]
        norms = torch._foreach_norm(gradients) if gradients else [torch.zeros((), device=self.device)]
        return torch.stack(norms).norm()

    @property
    def some_weight(self) -> Tensor:
        """A weight, whose type and device are those that the networks compute with."""
        return next(self.parameters())

    def _train_on(self, batch: Batch) -> None:
        batch = self.trainer.precision_plugin.convert_input(batch)  # Lightning does not look into the iterator
        seed_training_noise(self.device, self.seed, self.global_rank, self.batches_seen)
        batch = {key: self._laid_out(value) for key, value in batch.items()}
        self._set_rates()
        for player, optimizer in zip(self._players, self._optimizers, strict=True):
            if (self.batches_seen + 1) % player.every == 0:
                self._turn(player, optimizer, batch)
        self.batches_seen += 1
        self.images_seen += len(next(iter(batch.values()))) * self.trainer.world_size

    def _turn(self, player: Player, optimizer, batch: Batch) -> None:
        terms = (self.graphed_steps.take_turn if self.graphed_steps else self.take_turn)(player, optimizer, batch)
        if terms is not None:
            self._update_averages(player, batch)
            self.terms[player.name] = terms

    def take_turn(self, player: Player, optimizer, batch: Batch) -> Terms | None:
        """Moves the player by one step and returns the terms of its loss; None where the guard refuses the step."""
        self._freeze_all_but(player)
        if self.guard:
            self.guard.save_state(self)
        terms = player.loss(batch)
        terms = terms if isinstance(terms, Mapping) else {"loss": terms}
        for w in self.parameters_of(player):
            w.grad = None  # optimizer.zero_grad() does this too, at ten times the price
        self.manual_backward(terms["loss"])
        if self.guard and not self.guard.accepts(self, player.name, optimizer):
            return None
        optimizer.step()
        self.after_turn(player)
        return {name: value.detach() for name, value in terms.items()}

    def parameters_of(self, player: Player) -> list[nn.Parameter]:
        """The weights that the player moves."""
        return self._moved[player.name]

    def _freeze_all_but(self, mover: Player) -> None:
        for name, weights in self._moved.items():
            if name != mover.name:
                for w in weights:
                    w.requires_grad_(False)
        for w in self._moved[mover.name]:
            w.requires_grad_(True)

    def _laid_out(self, value: Tensor) -> Tensor:
        return value.contiguous(memory_format=self.layout) if value.ndim == 4 else value

    def _set_rates(self) -> None:
        if self.schedule is None:
            return
        factor = self.schedule(self.progress)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor

    def _update_averages(self, player: Player, batch: Batch) -> None:
        if not self.averaged:
            return
        joint = len(next(iter(batch.values()))) * self.trainer.world_size
        images, seen = joint * player.every, self.images_seen - joint * (player.every - 1)  # since its last turn
        for name, mean in self.averaged.items():
            live = getattr(self, name)
            if any(live is net for net in player.nets):
                self.average.update(mean, live, images, seen)
