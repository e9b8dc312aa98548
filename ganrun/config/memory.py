"""The memory that the weights of a training take, with gradients and optimizers, and what a device has for them."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig
from torch.nn.modules.module import register_module_parameter_registration_hook

from ganrun.config.free_memory import free_main_memory
from ganrun.config.hardware import count_devices, device_kind
from ganrun.errors import UserError
from ganrun.models.base import Adversarial


def training_bytes(cfg: DictConfig, model: Adversarial) -> int:
    """Return the bytes of weights, gradients, optimizer states and averaged weights. Activations are not counted."""
    sizes = {name: sum(w.numel() for w in net.parameters()) for name, net in model.named_children()}
    averaged = sum(sizes[name] for name in model.averages) if model.average else 0
    return bytes_per_number(cfg) * (copies_of_weights(cfg) * sum(sizes.values()) + averaged)


@contextmanager
def within_memory(cfg: DictConfig) -> Iterator[None]:
    """Raise UserError as soon as networks that are built in the block have more parameters than memory holds.

    A parameter is counted before it is initialized, so that its memory is not used yet.
    """
    free, parameters = free_bytes(cfg), 0

    def count(module: torch.nn.Module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal parameters
        parameters += parameter.numel() if parameter is not None else 0
        check_fit(cfg, parameters, bytes_per_number(cfg) * copies_of_weights(cfg) * parameters, free)

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()


def check_memory(cfg: DictConfig, model: Adversarial) -> None:
    """Raise UserError if the model, with gradients, optimizers and averages, takes more memory than is free."""
    parameters = sum(w.numel() for w in model.parameters())
    check_fit(cfg, parameters, training_bytes(cfg, model), free_bytes(cfg))


def check_fit(cfg: DictConfig, parameters: int, needed: int, free: int | None) -> None:
    if free is None or needed <= free:
        return
    width = cfg.network.get("width")
    smaller = "network.generator.hidden=[64] network.discriminator.hidden=[64]"
    smaller = f"network.width={width // 2}" if isinstance(width, int) and width > 1 else smaller
    raise UserError(
        f"The networks have {parameters:,} parameters or more. Weights, gradients and optimizers take "
        f"{needed / 2**20:,.0f} MiB of memory, and {free / 2**20:,.0f} MiB are free. Use smaller networks, such as "
        f"{smaller}, or smaller images (data.size)."
    )


def copies_of_weights(cfg: DictConfig) -> int:
    """Return how many numbers a training keeps for each weight: itself, its gradient, what its optimizer remembers."""
    optimizer, name = cfg.optimizer, str(cfg.optimizer.get("_target_")).rpartition(".")[2]
    momentum = bool(optimizer.get("momentum"))
    return 2 + {"SGD": momentum, "RMSprop": 1 + momentum}.get(name, 2)


def bytes_per_number(cfg: DictConfig) -> int:
    precision = str(cfg.trainer.get("precision"))
    return 8 if precision.startswith("64") else 2 if precision in ("16-true", "bf16-true") else 4


def free_bytes(cfg: DictConfig) -> int | None:
    """Return the free memory of the training's device, for each of its processes there; None if it is not known."""
    if device_kind(cfg.trainer) == "cuda" and torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    free = free_main_memory()
    return None if free is None else free // max(1, count_devices(cfg.trainer) // cfg.trainer.num_nodes)
