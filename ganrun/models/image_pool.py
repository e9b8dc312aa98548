"""The history of generated images that CycleGAN's discriminators are trained on."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class ImagePool(nn.Module):
    """Keeps `size` generated images. Shrivastava et al. 2017, section 2.3, as Zhu et al. 2017 use it (size 50).

    While the pool fills, each image is stored and returned. Later, an image is returned as it is with probability 1/2,
    else swapped for a stored image, which is returned instead. Size 0 returns all images as they are.
    No step waits for a GPU, and CUDA graphs can replay it: all decisions are made on the images' device. The stored
    images are part of the state dict. Each process has its own pool; a checkpoint holds that of the first.
    """

    def __init__(self, size: int = 50):
        super().__init__()
        self.size = size
        self.kept: Tensor | None = None  # [size, C, H, W], of which the first `filled` are images
        self.filled = torch.zeros(1, dtype=torch.int64)

    def forward(self, images: Tensor, draw: Callable[..., Tensor] = lambda sample, n: sample(n)) -> Tensor:
        """Return B images [B, C, H, W] without gradient: some of those given, the others from the pool.

        draw: makes the pool's random decisions, as Adversarial.draw does.
        """
        images = images.detach()
        if not self.size:
            return images
        kept = images.new_zeros(self.size, *images.shape[1:]) if self.kept is None else self.kept.to(images)
        self.kept = kept
        self.filled = self.filled.to(images.device)
        swaps = draw(lambda n: torch.rand(n, device=images.device), len(images)) < 0.5
        indices = draw(lambda n: torch.randint(self.size, (n,), device=images.device), len(images))
        singles = (x.split(1) for x in (images, swaps, indices))
        return torch.cat([self._swap(kept, *each) for each in zip(*singles, strict=True)])

    def _swap(self, kept: Tensor, image: Tensor, is_swapped: Tensor, index: Tensor) -> Tensor:
        is_filling = self.filled < self.size
        index = torch.where(is_filling, self.filled, index)
        older = kept.index_select(0, index)
        is_stored = (is_swapped | is_filling).view(-1, 1, 1, 1)
        kept.index_copy_(0, index, torch.where(is_stored, image, older))
        self.filled += is_filling
        return torch.where(is_stored & ~is_filling, older, image)

    def get_extra_state(self) -> dict:
        return {"kept": self.kept[: int(self.filled)].clone()} if self.kept is not None and self.filled else {}

    def set_extra_state(self, state: dict) -> None:
        images = state.get("kept", torch.empty(0))
        self.filled.fill_(len(images))
        if len(images):
            self.kept = images.new_zeros(self.size, *images.shape[1:]) if self.kept is None else self.kept
            self.kept[: len(images)] = images
