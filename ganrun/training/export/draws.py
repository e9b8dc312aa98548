"""The random numbers that a model's `sample` draws: recorded, and given instead of drawn."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

KINDS_OF_DRAWS = {
    **{torch.randn: "normal", torch.randn_like: "normal", torch.rand: "uniform", torch.rand_like: "uniform"},
    **{torch.randint: "integers", torch.multinomial: "choice"},
}


@dataclass
class Draw:
    """Numbers that `sample` has drawn.

    kind: normal (mean 0, deviation 1), uniform (from 0 to 1), integers (below `high`) or choice (0, 1, ... with the
    shares `shares`).
    """

    kind: str
    values: Tensor
    settings: dict[str, Any] = field(default_factory=dict)


class RecordedDraws(TorchFunctionMode):
    """Keeps what torch's random functions return inside the block, in `draws`."""

    def __init__(self):
        super().__init__()
        self.draws: list[Draw] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in KINDS_OF_DRAWS:
            self.draws.append(Draw(KINDS_OF_DRAWS[func], result, describe_draw(func, args, kwargs)))
        return result


class GivenDraws(TorchFunctionMode):
    """Lets torch's random functions return these tensors inside the block, one after the other.

    count: what len() of a batch is while a model is exported for any number of examples. Models ask for it to draw as
    many; where it becomes part of what is computed, the program fails its trial with other numbers.
    """

    def __init__(self, values: Iterable[Tensor], count: int):
        super().__init__()
        self.values, self.count = [*values], count

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.__len__ and isinstance(args[0].shape[0], torch.SymInt):
            return self.count
        return self.values.pop(0) if func in KINDS_OF_DRAWS else func(*args, **(kwargs or {}))


def describe_draw(func, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a Draw by this call."""
    if func is torch.randint:
        low, high = randint_range(*args, **kwargs)
        return {"low": int(low), "high": int(high)}
    if func is torch.multinomial:
        shares = (args[0] if args else kwargs["input"]).detach().double()
        return {"shares": (shares / shares.sum()).tolist()}
    return {}


def randint_range(low: Any = None, high: Any = None, size: Any = None, **_: Any) -> tuple[Any, Any]:
    """Return low and high of torch.randint(high, size) or torch.randint(low, high, size)."""
    if low is None:
        return 0, high
    return (low, high) if isinstance(high, int) else (0, low)
