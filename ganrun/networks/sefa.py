"""Directions of a latent space that change the examples most."""

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ganrun import seeds
from ganrun.errors import UserError
from ganrun.networks import latents

TRIED = 8  # latents for which a layer must be linear
TINY = 1e-6  # singular value, in that of the first direction, of one that changes nothing


class _Found(Exception):
    """The first layer that the latents reach; ends the pass."""

    def __init__(self, output: Tensor):
        self.output = output


def principal_directions(generator: nn.Module, z_dim: int, *conditions: Tensor) -> Tensor:
    """Return unit directions [k, z_dim], those that change the output of the first layer most come first; k <= z_dim.

    Shen & Zhou 2021 (SeFa): eigenvectors of A^T A, where A z + b is the first layer that z reaches. Here, A is
    found by a pass of 0 and of each unit vector, so that the layer may be of any kind, and may have other inputs.
    generator: in evaluation mode.  conditions: [1, ...] each, what it takes besides z.
    Raises UserError if the first layer is not such a function of z.
    """
    weight = next(generator.parameters())
    unit = torch.eye(z_dim, dtype=weight.dtype, device=weight.device)
    tried = latents.normal(TRIED, z_dim, weight, seeds.generator(0))
    z = torch.cat([torch.zeros_like(unit[:1]), unit, tried])
    first = first_output(generator, z, *(condition.expand(len(z), *condition.shape[1:]) for condition in conditions))
    first = (first - first[:1]).flatten(1).double()
    matrix, found = first[1 : 1 + z_dim].T, first[1 + z_dim :]
    if not torch.allclose(found, tried.double() @ matrix.T, rtol=1e-3, atol=1e-3 * found.abs().max().item()):
        raise UserError("The first layer of the generator is not linear in z, so that it has no principal directions.")
    values, directions = torch.linalg.svd(matrix, full_matrices=False)[1:]
    directions = directions[values > TINY * values[0]]
    signs = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)).sign()  # the same on all machines
    return (signs * directions).to(weight)


def first_output(generator: nn.Module, z: Tensor, *conditions: Tensor) -> Tensor:
    """Return what the first layer with weights returns, among those whose output depends on z: [n, ...]."""

    def stop(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        if isinstance(output, Tensor) and len(output) == len(z) and (output != output[:1]).any():
            raise _Found(output)

    layers = [module for module in generator.modules() if is_layer(module)]
    hooks: list[RemovableHandle] = [layer.register_forward_hook(stop) for layer in layers]
    try:
        with torch.no_grad():
            generator(z, *conditions)
    except _Found as found:
        return found.output
    finally:
        for hook in hooks:
            hook.remove()
    raise UserError("The generator has no layer with weights that depends on z, and so no principal directions.")


def is_layer(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim > 1
