"""Several generators that make one distribution together."""

import copy

import torch
from torch import Tensor, nn


def copies(network: nn.Module, count: int) -> nn.ModuleList:
    return nn.ModuleList(copy.deepcopy(network) for _ in range(count))


def sample_mixture(nets: nn.Module, count: int, z: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return an example of one of the first `count` generators, all alike probable, for each latent of z [n, z_dim]."""
    device = z.device if generator is None else generator.device
    chosen = torch.randint(count, (len(z),), generator=generator, device=device).to(z.device)
    return torch.stack([net(z) for net in [*nets.children()][:count]])[chosen, torch.arange(len(z), device=z.device)]
