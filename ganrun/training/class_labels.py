"""Classes as users name them, and their numbers."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ganrun.errors import UserError

ClassLabels = int | str | Sequence[int | str] | Tensor | None
CLASSES_SHOWN = 60


def label_numbers(n: int, y: ClassLabels, count: int, names: Sequence[str]) -> Tensor:
    """Return the classes of n examples, taken in turn from y, of `count` classes with these names: int64 [n].

    y: a class by number or name, or several of them; None: all classes. Raises UserError for one that there is not.
    """
    classes = list(range(count)) if y is None else [y] if isinstance(y, int | str) else [*y]
    classes = [class_number(c, count, names) for c in classes]
    if not classes or any(not isinstance(c, int) or not 0 <= c < count for c in classes):
        allowed = f"classes must be whole numbers from 0 to {count - 1}, such as classes=[0,1]"
        known = f", or names: {number_classes(names)}" if is_named(names) else ""
        raise UserError(f"classes={classes}: {allowed}{known}.")
    return torch.tensor(classes)[torch.arange(n) % len(classes)]


def class_weights(n: int, y: Tensor, count: int) -> Tensor:
    """Return the weights of the classes of n examples, taken in turn from y [k, count]: float32 [n, count]."""
    if not len(y) or y.shape[1:] != (count,) or not y.dtype.is_floating_point or not y.isfinite().all():
        raise UserError(
            f"y must be classes, integers [n], or weights of the {count} classes, finite floats [n, {count}], got "
            f"{str(y.dtype).removeprefix('torch.')} {[*y.shape]}."
        )
    return y.float()[torch.arange(n) % len(y)]


def class_number(label: Any, count: int, names: Sequence[str]) -> Any:
    """Return the number of a class that is given by its number, below `count`, or by its name; else the label."""
    label = int(label) if isinstance(label, Tensor) else label
    is_number = isinstance(label, int) and 0 <= label < count
    return names.index(str(label)) if not is_number and str(label) in names else label


def is_named(names: Sequence[str]) -> bool:
    """Return whether the names of the classes say more than their numbers."""
    return [*names] != [str(number) for number in range(len(names))]


def number_classes(names: Sequence[str]) -> str:
    """Return the classes with their numbers: "0 cats, 1 dogs"."""
    more = f", and {len(names) - CLASSES_SHOWN} more" if len(names) > CLASSES_SHOWN else ""
    return ", ".join(f"{number} {name}" for number, name in enumerate(names[:CLASSES_SHOWN])) + more
