"""Perceptual path length: how much examples change while their latents go from one sample to another."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ganrun.data.keys import keys_taken
from ganrun.errors import UserError
from ganrun.metrics.extractors.base import Extractor
from ganrun.metrics.scores import Score
from ganrun.networks.eval_mode import outside_autocast
from ganrun.networks.latent_paths import along_noise
from ganrun.seeds import generator

EPSILON = 1e-4
LOWEST, HIGHEST = 0.01, 0.99  # quantiles beyond which steps are left out
BATCH, DRAWN = 250, 64  # paths at once; latents that show whether the noise is Gaussian
PATH_LENGTH = Score("path_length", better="lower", note="squared change of features per squared step, {count:,} paths")


def path_length(model: Any, data, extractor: Extractor, count: int, seed: int = 0) -> float:
    """Return the mean of |f(G(z(t + e))) - f(G(z(t)))|^2 / e^2 over `count` paths z, each at a random place t.

    Karras et al. 2019 (StyleGAN), section 4.1: e = 1e-4, t ~ U(0, 1), and z(t) leads from one drawn latent to another,
    along the sphere if they are Gaussian, else on a line. As in the authors' code, both ends have the same conditions,
    and steps below the first and above the last percent are left out. f are the features of the extractor; departure:
    the paper has a weighted distance of VGG's features.
    """
    weight, stream, keys = model.some_weight, generator(seed), keys_taken(model)
    if torch.finfo(weight.dtype).bits < 32:
        raise UserError(f"path_length= needs weights of 32 bits, and these are {weight.dtype}: steps are too small.")
    conditions = data.conditions(count, keys) if keys else {}
    way, steps = along_noise(model.noise(DRAWN, stream).double()), []
    for index in torch.arange(count).split(BATCH):
        start, end = (model.noise(len(index), stream).double() for _ in range(2))
        share = torch.rand(len(index), 1, generator=stream, dtype=torch.float64).to(start.device)
        own = [conditions[key][index].to(model.device) for key in keys]
        with torch.no_grad(), outside_autocast(weight), full_float32(weight.device):
            pair = [way(start, end, place).to(weight) for place in (share, share + EPSILON)]
            before, after = (extractor.embed(model.decode(z, *own)).double() for z in pair)
        steps.append((after - before).square().sum(1).cpu() / EPSILON**2)
    return trimmed_mean(torch.cat(steps)).item()


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Compute in all bits of float32 on an NVIDIA GPU, too, which else multiplies with TF32's 10."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)


def trimmed_mean(values: Tensor) -> Tensor:
    """Return the mean of the values [n] from the quantile LOWEST to the quantile HIGHEST, ends included."""
    low, high = values.quantile(LOWEST, interpolation="lower"), values.quantile(HIGHEST, interpolation="higher")
    return values[(values >= low) & (values <= high)].mean()
