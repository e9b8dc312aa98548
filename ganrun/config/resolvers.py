"""What ganrun's configs compute: the shape of images."""

from typing import Any

from omegaconf import ListConfig, OmegaConf


def image_shape(channels: Any, size: Any) -> ListConfig:
    """Return [C, H, W] for `data.channels` and `data.size`, a side or [height, width].

    Wrong values become 0, and are refused where their settings are checked: a config of a stranger may compute numbers
    with this resolver, and nothing else.
    """
    sides = list(size) if isinstance(size, list | ListConfig) else [size, size]
    return ListConfig([value if isinstance(value, int) else 0 for value in (channels, *sides)])


OmegaConf.register_new_resolver("image_shape", image_shape, replace=True)
