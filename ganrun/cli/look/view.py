"""What `ganrun look` shows: pictures and animations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig
from torch import Tensor

from ganrun.data.images import enlarge, save_enlarged, to_file_array, to_pillow
from ganrun.errors import UserError
from ganrun.files import replacing
from ganrun.terminal import progress_bar

LONGEST_NAME, MOST = 80, 500  # characters of the name of a file; pictures of an animation
FRAME = 500  # pixels of the longer side, up to which these are enlarged


@dataclass
class View:
    """A picture, or an animation if it has several frames.

    name: of its file.  caption: what one sees.  frames: uint8 [3, H, W] each.  seconds: for which a frame is shown.
    notes: said below it.  examples: x [n, ...], z [n, z_dim] and what else they are made of, such as y, for as=npz.
    """

    name: str
    caption: str
    frames: Sequence[Tensor]
    seconds: float = 0.1
    notes: list[str] = field(default_factory=list)
    examples: Mapping[str, Tensor] | None = None

    @property
    def file(self) -> str:
        return f"{self.stem}.{'png' if len(self.frames) == 1 else 'gif'}"

    @property
    def stem(self) -> str:
        """The name as every file system takes it."""
        return re.sub(r"[^\w.+-]", "_", self.name)[:LONGEST_NAME]

    def write(self, folder: Path) -> None:
        first, *others = self.frames
        if not others:
            save_enlarged(folder / self.file, to_pillow(first))
            return
        with replacing(folder / self.file) as partial:
            rest = (enlarge(to_pillow(frame), FRAME) for frame in progress_bar(others, f"writing {self.file}"))
            options = {"append_images": rest, "duration": round(1000 * self.seconds), "loop": 0}
            enlarge(to_pillow(first), FRAME).save(partial, format="GIF", save_all=True, **options)

    def write_examples(self, folder: Path) -> None:
        """Write the examples as NAME.npz, if the view has them; images x are uint8 [n, H, W, C]."""
        if self.examples is not None:
            arrays: dict[str, Any] = {name: value.numpy() for name, value in self.examples.items()}
            arrays["x"] = to_file_array(self.examples["x"])
            np.savez_compressed(folder / f"{self.stem}.npz", **arrays)


def check_frames(cfg: DictConfig, setting: str, count: int) -> None:
    """Raise UserError for an animation of more than MOST pictures."""
    if cfg["as"] == "gif" and count > MOST:
        raise UserError(f"{setting} steps={cfg.steps} as=gif has {count} pictures, and at most {MOST} are animated.")


def there_and_back(frames: Sequence[Tensor]) -> list[Tensor]:
    """Return the frames followed by those before the last one in reverse order, so that an animation has no jump."""
    return [*frames, *frames[-2:0:-1]]
