"""What ganrun's configs compute: shapes, and the folder of the outputs.

Wrong values of a shape become 0, and are refused where their settings are checked: a config of a stranger may compute
numbers with image_shape and packed_shape, and nothing else. The folder of the outputs is for the configs of conf/ and
of the user; runs save the path that it resolved to.
"""

from collections.abc import Iterable
from typing import Any

from omegaconf import ListConfig, OmegaConf

from ganrun.files import outputs_dir


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
OmegaConf.register_new_resolver("outputs_dir", lambda: str(outputs_dir()), replace=True)
