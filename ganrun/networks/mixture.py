"""Several generators that make one distribution together."""

import copy

import torch
from torch import Tensor, nn

from ganrun.networks.eval_mode import eval_mode


def copies(network: nn.Module, count: int) -> nn.ModuleList:
    return nn.ModuleList(copy.deepcopy(network) for _ in range(count))


def sample_mixture(nets: nn.Module, count: int, z: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return an example of one of the first `count` generators, all alike probable, for each latent
    of z [n, z_dim]."""
    device = z.device if generator is None else generator.device
    chosen = torch.randint(count, (z.shape[0],), generator=generator, device=device).to(z.device)
    with eval_mode(nets):
        x = torch.stack([net(z) for net in [*nets.children()][:count]], dim=1)  # [n, count, ...]
    return x.gather(1, chosen.view(-1, *[1] * (x.ndim - 1)).expand(-1, 1, *x.shape[2:])).squeeze(1)
