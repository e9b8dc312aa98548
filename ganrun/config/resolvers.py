"""What ganrun's configs compute: shapes.

Wrong values become 0, and are refused where their settings are checked: a config of a stranger may compute numbers with
these resolvers, and nothing else.
"""

from collections.abc import Iterable
from typing import Any

from omegaconf import ListConfig, OmegaConf


def image_shape(channels: Any, size: Any) -> ListConfig:
    """Return [C, H, W] for `data.channels` and `data.size`, a side or [height, width]."""
    sides = list(size) if isinstance(size, list | ListConfig) else [size, size]
    return integers([channels, *sides])


def packed_shape(shape: Any, pack: Any) -> ListConfig:
    """Return the shape of `model.pack` examples of `data.shape`, joined on the first axis."""
    first, *others = integers(shape if isinstance(shape, list | ListConfig) and shape else [0])
    return integers([first * integers([pack])[0], *others])


def integers(values: Iterable[Any]) -> ListConfig:
    return ListConfig([value if isinstance(value, int) else 0 for value in values])


OmegaConf.register_new_resolver("image_shape", image_shape, replace=True)
OmegaConf.register_new_resolver("packed_shape", packed_shape, replace=True)
