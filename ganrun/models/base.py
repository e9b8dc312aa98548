"""The base class of all models. A model is its networks, its players and one loss method per player.

One batch of training: each player whose turn it is computes its loss, backpropagates and takes one optimizer step,
with the other players' weights frozen; then the averaged generators follow (see `_train_on_batch` and `take_turn`).
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ganrun.models.ema import ExponentialMovingAverage
from ganrun.models.player import Batch, Player, Terms, as_terms, regular_steps
from ganrun.models.schedules import scale_learning_rates
from ganrun.models.steps.accumulation import Accumulation
from ganrun.models.steps.graph_replay import GraphedSteps
from ganrun.models.steps.skip_nonfinite import NonfiniteStepSkipper
from ganrun.networks.eval_mode import outside_autocast
from ganrun.seeds import seed_training_noise


class Adversarial(pl.LightningModule):
    """Base class of the models.

    optimizers:     player name -> (parameters -> Optimizer)
    schedule:       share of the training done, 0..1 -> factor of the learning rates
    average:        how the networks named by `averages` are averaged; None: not at all
    clip:           largest gradient norm of a player; None: no clipping
    channels_last:  memory layout of images
    seed:           of the training noise
    """

    needs: Mapping[str, str | None] | tuple[str, ...] = ("x",)  # keys of a batch; {key: kind} if the kind matters
    takes: tuple[str, ...] | None = None  # keys that `sample` takes; None: y if it is needed
    trial_size = 2  # examples of the batch that is tried before training
    batch_divisor = 1  # the examples that a device gets of a batch must be a multiple of it
    averages: tuple[str, ...] = ()  # attributes that hold the networks which samples come from

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
        self.averaged = nn.ModuleDict()  # attribute -> averaged copy of that network
        self.terms: dict[str, Terms] = {}  # player -> terms of its last step, on the device
        self.batches_seen = self.images_seen = 0  # over all ranks; Lightning's global_step counts optimizer steps
        self.steps_taken: Counter[str] = Counter()  # player -> its steps
        self.images_at_step: dict[str, int] = {}  # player -> images seen after its last step
        self.accumulation: Accumulation | None = None  # set where the model is built, if a batch is trained on in parts
        self._kept: dict[int, dict[str, Any]] = {}  # by part of the batch
        # Set by callbacks:
        self.progress = 0.0  # share of the training done
        self.before_batch: Callable[[Batch], None] | None = None
        self.after_batch: Callable[[Batch], None] | None = None
        self.step_skipper: NonfiniteStepSkipper | None = None
        self.graphed_steps: GraphedSteps | None = None

    def players(self) -> list[Player]:
        """Return the players in the order of their turns within a batch."""
        raise NotImplementedError

    def after_turn(self, player: Player) -> None:
        """Do what follows `player`'s step, such as weight clipping."""

    def pictures(self, data) -> dict[str, tuple[Tensor, int]]:
        """Return what to show during training: name -> (examples [N, ...] for `data.draw`, columns of their grid)."""
        raise NotImplementedError

    def net(self, name: str) -> nn.Module:
        """Return the averaged copy of a network if there is one, else the network itself."""
        return self.averaged[name] if name in self.averaged else getattr(self, name)

    @property
    def some_weight(self) -> Tensor:
        """Any weight: its dtype and device are those of the networks."""
        return next(self.parameters())

    def _train_on_batch(self, batch: Batch) -> None:
        batch = self.trainer.precision_plugin.convert_input(batch)  # Lightning does not convert batches of an iterator
        seed_training_noise(self.device, self.seed, self.global_rank, self.batches_seen)
        batch = {key: x.contiguous(memory_format=self.layout) if x.ndim == 4 else x for key, x in batch.items()}
        images = self.images_seen + len(next(iter(batch.values()))) * self.trainer.world_size
        if self.schedule:
            scale_learning_rates(self._optimizers, self.schedule(self.progress))
        take_turn = self.graphed_steps.take_turn if self.graphed_steps else self.take_turn
        for player, optimizer in zip(self._players, self._optimizers, strict=True):
            if player.moves_at(self.batches_seen + 1):
                terms = take_turn(player, optimizer, batch)
                if terms is not None:
                    self._update_averages(player, images)
                    self.terms[player.name], self.images_at_step[player.name] = terms, images
                    self.steps_taken[player.name] += 1
        self.batches_seen, self.images_seen = self.batches_seen + 1, images

    def take_turn(self, player: Player, optimizer, batch: Batch) -> Terms | None:
        """Take one step of the player and return the terms of its loss.

        None if there is no step: the loss is None, or the gradient is not finite and such steps are skipped.
        """
        self._freeze_all_but(player)
        if self.step_skipper:
            self.step_skipper.save_state(self)
        for w in self.parameters_of[player.name]:
            w.grad = None  # optimizer.zero_grad() does this too, ten times as slowly
        parts = self.accumulation
        terms = parts.backward(self, player, batch) if parts else self.backward_loss(player, batch)
        if terms is None or (self.step_skipper and not self.step_skipper.accepts(self, player.name, optimizer)):
            return None
        optimizer.step()
        self.after_turn(player)
        return {name: value.detach() for name, value in terms.items()}

    def backward_loss(self, player: Player, batch: Batch, weight: float | None = None) -> Terms | None:
        """Backpropagate the player's loss, times the weight if there is one; return its terms, None if it is None."""
        if (loss := player.loss(batch)) is None:
            return None
        terms = as_terms(loss)
        with outside_autocast(terms["loss"]):  # which rounds a penalty's second derivatives, on a GPU of old weights
            self.manual_backward(terms["loss"] if weight is None else terms["loss"] * weight)
        return terms

    def draw(self, sample: Callable[[int], Tensor], n: int) -> Tensor:
        """Return sample(n), such as a loss's noise; if the batch is in parts, this part's share of a sample for all."""
        return self.accumulation.draw(sample, n) if self.accumulation else sample(n)

    @property
    def kept(self) -> dict[str, Any]:
        """What the players' losses keep for each other on the same examples: the batch, or one part of it."""
        return self._kept.setdefault(self.accumulation.part if self.accumulation else 0, {})

    def optimizer_of(self, player: str) -> torch.optim.Optimizer:
        """Return the optimizer of the player of that name, during a training."""
        return self.trainer.optimizers[[*self.parameters_of].index(player)]

    def gradient_norm(self, player: str) -> Tensor:
        """Return the norm of the gradient of that player's last step, after clipping: scalar."""
        gradients = [w.grad for w in self.parameters_of[player] if w.grad is not None]
        gradients = gradients or [self.some_weight.new_zeros(())]
        return torch.stack(torch._foreach_norm(gradients)).norm()  # pyright: ignore[reportPrivateImportUsage]

    def _freeze_all_but(self, mover: Player) -> None:
        for name, weights in self.parameters_of.items():
            for w in weights if name != mover.name else ():
                w.requires_grad_(False)
        for w in self.parameters_of[mover.name]:
            w.requires_grad_(True)

    def _update_averages(self, player: Player, images: int) -> None:
        """Let the averages of the player's networks follow its step. images: seen, with those of this batch."""
        before = self.images_at_step.get(player.name, 0)
        for name, averaged in self.averaged.items():
            network = getattr(self, name)
            if self.average and any(network is net for net in player.nets):
                self.average.update(averaged, network, images - before, before)

    def configure_model(self) -> None:
        # Lightning calls this before it loads a checkpoint, whose averaged weights need a network to go to, and weights
        # of 64 bits networks of 64 bits: it converts them only after loading.
        for name in self.averages if self.average else ():
            if name not in self.averaged:
                self.averaged[name] = copy.deepcopy(getattr(self, name)).requires_grad_(False).eval()
        if self._trainer:
            self._trainer.precision_plugin.convert_module(self)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        self._players = self.players()
        self.parameters_of = {  # player -> the parameters that it trains
            p.name: [w for net in p.nets for w in net.parameters() if w.requires_grad] for p in self._players
        }
        return [self.make_optimizer[p.name](self.parameters_of[p.name]) for p in self._players]

    def on_fit_start(self) -> None:
        self.train()
        self.averaged.eval()
        optimizers = self.optimizers()
        self._optimizers = optimizers if isinstance(optimizers, list) else [optimizers]

    def training_step(self, batches: Iterable[Batch], batch_idx: int) -> None:
        # Several batches in each of Lightning's steps, whose hooks cost a millisecond per step.
        if torch.is_autocast_enabled(self.device.type):
            torch.set_autocast_cache_enabled(False)  # the cache would reuse the first batch's weights for all batches
        for batch in batches:
            if self.before_batch:
                self.before_batch(batch)
            self._train_on_batch(batch)
            if self.after_batch:
                self.after_batch(batch)
            if self.trainer.should_stop:
                return

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        # Clip here, not before optimizer.step(): under 16-mixed the gradients are unscaled only now.
        if self.clip is not None:
            nn.utils.clip_grad_norm_([w for group in optimizer.param_groups for w in group["params"]], self.clip)

    def on_fit_end(self) -> None:
        for w in (w for weights in self.parameters_of.values() for w in weights):
            w.requires_grad_(True)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        seen = {"batches": self.batches_seen, "images": self.images_seen, "progress": self.progress}
        checkpoint["seen"] = {**seen, "steps": dict(self.steps_taken), "images_at_step": dict(self.images_at_step)}

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        seen = {**regular_steps(checkpoint["seen"], self.players()), **checkpoint["seen"]}
        self.batches_seen, self.images_seen, self.progress = seen["batches"], seen["images"], seen["progress"]
        self.steps_taken, self.images_at_step = Counter(seen["steps"]), dict(seen["images_at_step"])
