"""The history of generated pictures that CycleGAN's discriminators look at."""

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Keeps `size` generated pictures. Shrivastava et al. 2017, section 2.3, as Zhu et al. 2017 use it (size 50).

    A picture that comes while the pool fills is kept and given back; later ones are, with probability 1/2 each, given
    back as they are, or take the place of a kept picture, which is given back. size 0 gives back all as they are.
    The kept pictures are in the state dict; draws come from the CPU's default generator, so no step waits for a GPU.
    Of several processes each has a pool of its own; a checkpoint holds that of the first.
    """

    def __init__(self, size: int = 50):
        super().__init__()
        self.size = size
        self.kept: list[Tensor] = []

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, C, H, W] -> as many, some of them older."""
        return torch.stack([self._swap(picture) for picture in pictures.detach()]) if self.size else pictures.detach()

    def _swap(self, picture: Tensor) -> Tensor:
        if len(self.kept) < self.size:
            self.kept.append(picture)
            return picture
        if torch.rand(()) < 0.5:
            return picture
        place = int(torch.randint(self.size, ()))
        older, self.kept[place] = self.kept[place], picture
        return older.to(picture.device)

    def get_extra_state(self) -> dict:
        return {"kept": torch.stack(self.kept)} if self.kept else {}

    def set_extra_state(self, state: dict) -> None:
        self.kept = list(state["kept"]) if state else []
