"""Optimistic gradient descent."""

import torch


class OptimisticSGD(torch.optim.Optimizer):
    """w <- w - lr (2 g - g of the step before): the last change of the gradient predicts the next one.

    Daskalakis et al. 2018, eq. 4 (optimistic mirror descent). The first step is one of plain gradient descent.
    """

    def __init__(self, params, lr: float):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure=None):  # pyright: ignore[reportIncompatibleMethodOverride]
        loss = closure() if closure else None
        for group in self.param_groups:
            for w in group["params"]:
                if w.grad is not None:
                    state = self.state[w]
                    before = state.get("gradient", w.grad)
                    w.sub_((2 * w.grad - before) * group["lr"])
                    state["gradient"] = w.grad.clone()
        return loss
