"""The history of generated pictures that CycleGAN's discriminators look at."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Keeps `size` generated pictures. Shrivastava et al. 2017, section 2.3, as Zhu et al. 2017 use it (size 50).

    A picture that comes while the pool fills is kept and given back; later ones are, with probability 1/2 each, given
    back as they are, or take the place of a kept picture, which is given back. size 0 gives back all as they are.
    All is decided on the pictures' device, by draws from its default generator: no step waits for a GPU, and a
    recorded one can be replayed. The kept pictures are in the state dict. Of several processes each has a pool of its
    own; a checkpoint holds that of the first.
    """

    def __init__(self, size: int = 50):
        super().__init__()
        self.size = size
        self.kept: Tensor | None = None  # [size, C, H, W], of which the first `filled` are pictures
        self.filled = torch.zeros(1, dtype=torch.int64)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, C, H, W] -> as many, some of them older."""
        pictures = pictures.detach()
        if not self.size:
            return pictures
        self._move_to(pictures)
        swaps = torch.rand(len(pictures), device=pictures.device) < 0.5
        places = torch.randint(self.size, (len(pictures),), device=pictures.device)
        single = (x.split(1) for x in (pictures, swaps, places))
        return torch.cat([self._swap(*each) for each in zip(*single, strict=True)])

    def _swap(self, picture: Tensor, is_swapped: Tensor, place: Tensor) -> Tensor:
        is_filling = self.filled < self.size
        place = torch.where(is_filling, self.filled, place)
        older = self.kept.index_select(0, place)
        is_kept = (is_swapped | is_filling).view(-1, 1, 1, 1)
        self.kept.index_copy_(0, place, torch.where(is_kept, picture, older))
        self.filled += is_filling
        return torch.where(is_kept & ~is_filling, older, picture)

    def _move_to(self, pictures: Tensor) -> None:
        if self.kept is None:
            self.kept = pictures.new_zeros(self.size, *pictures.shape[1:])
        self.kept, self.filled = self.kept.to(pictures), self.filled.to(pictures.device)

    def get_extra_state(self) -> dict:
        return {"kept": self.kept[: int(self.filled)].clone()} if self.filled else {}

    def set_extra_state(self, state: dict) -> None:
        pictures = state.get("kept", torch.empty(0))
        self.filled.fill_(len(pictures))
        if len(pictures):
            if self.kept is None:
                self.kept = pictures.new_zeros(self.size, *pictures.shape[1:])
            self.kept[: len(pictures)] = pictures
