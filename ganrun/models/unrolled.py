"""The GAN whose generator looks ahead."""

import torch
from torch import Tensor

from ganrun.models.base import Batch, as_terms
from ganrun.models.gan import GAN
from ganrun.models.losses import needs_real
from ganrun.models.steps.differentiable import call_with_weights, differentiable_copy
from ganrun.networks.eval_mode import outside_autocast


class UnrolledGAN(GAN):
    """Metz et al. 2017, eq. 3 to 6: G's loss is that against the D of `unrolled_steps` steps later, the paper's K.

    The steps are those of D's own optimizer in its present state, on the same real and generated examples, penalties
    included, but no weight clamp. G's gradient flows through them, and D itself stays: its own turn is that of GAN.
    On several devices, each unrolls on its part of the batch.
    """

    def __init__(self, *args, unrolled_steps: int, **kwargs):
        super().__init__(*args, **kwargs)
        self.unrolled_steps = unrolled_steps

    def on_train_start(self) -> None:
        if self.graphed_steps:
            self.graphed_steps.usual.add("generator")  # a CUDA graph would keep the learning rate of D's steps

    def generator_loss(self, batch: Batch) -> Tensor:
        x = self.fake_like(batch)
        weights = self.unroll(x, batch)

        def score(x: Tensor) -> Tensor:
            return call_with_weights(self.discriminator, weights, lambda: self.score(x, batch))

        return self.objective.generator(score(x), score(batch["x"]) if needs_real(self.objective) else None)

    def unroll(self, x: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return D's weights after the steps, as functions of the fakes x."""
        named = dict(self.discriminator.named_parameters())
        weights = {name: w.detach().clone() for name, w in named.items()}
        optimizer = self.optimizer_of("discriminator") if self._trainer is not None else None
        optimizer = optimizer or self.make_optimizer["discriminator"](named.values())
        optimizer = differentiable_copy(optimizer, {w: weights[name] for name, w in named.items()})
        with outside_autocast(batch["x"]):
            for _ in range(self.unrolled_steps):
                used = {name: w.clone().requires_grad_() for name, w in weights.items()}  # steps change w in place
                loss = call_with_weights(self.discriminator, used, lambda: self.loss_on(x.to(batch["x"]), batch))
                slopes = torch.autograd.grad(loss, [*used.values()], create_graph=True)
                for w, slope in zip(weights.values(), slopes, strict=True):
                    w.grad = slope
                optimizer.step()
        return weights

    def loss_on(self, x: Tensor, batch: Batch) -> Tensor:
        """Return D's loss on the fakes x."""
        real, fake, due = self.score(batch["x"], batch), self.score(x, batch), self.regularizers.due(self)
        penalties = self.regularizers.penalties(due, lambda x: self.score(x, batch), batch["x"], x, self.draw)
        return sum(penalties.values(), as_terms(self.objective.discriminator(real, fake))["loss"])
