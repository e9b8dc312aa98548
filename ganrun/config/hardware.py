"""What a run computes on, in which precision and how its steps are compiled: decided once for each run."""

import os
import shutil
from dataclasses import dataclass

import torch
from omegaconf import DictConfig, ListConfig
from torch.torch_version import TorchVersion

from ganrun.config import trust
from ganrun.config.precision import resolve_precision
from ganrun.errors import UserError

CUDA_ACCELERATORS = ("auto", "gpu", "cuda")
COMPILES_SINCE = "2.12"  # torch before it takes the graph of a frozen network for the network that learns


@dataclass(frozen=True)
class Hardware:
    """device: cuda, cpu or another.   precision: in Lightning's notation.   precision_reason: why that one.

    cuda_graphs: replay each player's step as a CUDA graph.   compiles_networks: torch.compile the networks.
    graph_obstacle: why there can be no CUDA graphs; empty if they can.
    """

    device: str
    is_parallel: bool
    precision: str
    precision_reason: str
    cuda_graphs: bool
    compiles_networks: bool
    graph_obstacle: str

    @property
    def uses_cuda(self) -> bool:
        return self.device == "cuda"


def resolve_hardware(cfg: DictConfig, begun_precision: str | None = None) -> Hardware:
    """Return what the `auto` settings of the trainer mean for this config on this machine.

    begun_precision: what trainer.precision=auto chose when the run began; None for a new run.
    trainer.compile=auto records no CUDA graphs of a user's own classes: a replay misses Python numbers that change.
    """
    device, devices = device_kind(cfg.trainer), count_devices(cfg.trainer)
    is_parallel = devices > 1
    precision = resolve_precision(cfg, device, devices, begun_precision)
    obstacles = {
        "no CUDA GPU is used": device != "cuda",
        "several devices synchronize within a step": is_parallel,
        "guard=skip checks every step": cfg.guard == "skip",
        "accumulate adds up the gradients of several batches in a step": cfg.get("accumulate", 1) > 1,
        "trainer.precision=16-mixed checks every step": precision.name == "16-mixed",
    }
    obstacle = next((reason for reason, applies in obstacles.items() if applies), "")
    requested = cfg.trainer.get("compile", "off")  # runs of version 0.1 may have none
    cuda_graphs = requested != "off" and not obstacle and not (requested == "auto" and trust.needs_trust(cfg))
    return Hardware(device, is_parallel, precision.name, precision.reason, cuda_graphs, requested == "full", obstacle)


def device_kind(trainer: DictConfig) -> str:
    """Return the kind of device that the accelerator means here: cuda, cpu, mps or another."""
    if trainer.accelerator in CUDA_ACCELERATORS and torch.cuda.is_available():
        return "cuda"
    if trainer.accelerator in ("auto", "gpu") and torch.backends.mps.is_available():
        return "mps"
    return trainer.accelerator.replace("auto", "cpu")


def count_devices(trainer: DictConfig) -> int:
    """Return the number of devices on all nodes together."""
    devices = trainer.devices
    if devices in ("auto", -1, "-1"):
        devices = max(torch.cuda.device_count(), 1) if trainer.accelerator in CUDA_ACCELERATORS else 1
    return (len(devices) if isinstance(devices, ListConfig) else int(devices)) * trainer.num_nodes


def name_devices(trainer: DictConfig, kind: str) -> str:
    """Return what a run computes on, as lists of runs show it: "cpu", "cuda:3" (its number there), "cuda x4"."""
    count, devices = count_devices(trainer), trainer.devices
    if count > 1:
        return f"{kind} x{count}"
    if kind != "cuda":
        return kind
    number = int(devices[0]) if isinstance(devices, ListConfig) else 0
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    name = visible[number] if number < len(visible) and visible[number] else str(number)
    return f"{kind}:{name}" if name.isdecimal() else kind


def check_hardware(trainer: DictConfig, hardware: Hardware) -> None:
    """Raise UserError for GPUs that are not there, and for a compilation that cannot work here."""
    available = torch.cuda.device_count()
    kind, devices, requested = trainer.accelerator, trainer.devices, trainer.get("compile")
    has_mps = torch.backends.mps.is_available()
    if kind in ("gpu", "cuda", "mps") and not {"gpu": available or has_mps, "cuda": available, "mps": has_mps}[kind]:
        raise UserError(
            f"trainer.accelerator={kind} needs a GPU, and PyTorch {torch.__version__} finds no GPU here. "
            "Leave it out or use trainer.accelerator=cpu."
        )
    if trainer.get("sync_batchnorm") and not (available and kind in CUDA_ACCELERATORS):
        raise UserError("trainer.sync_batchnorm=true needs CUDA GPUs, and this run uses none. Leave it out.")
    if available and kind != "cpu" and isinstance(devices, int) and devices > available:
        raise UserError(f"trainer.devices={devices}, but there are {available} GPUs. Use trainer.devices={available}.")
    if requested == "graphs" and hardware.graph_obstacle:
        raise UserError(f"trainer.compile=graphs is not possible: {hardware.graph_obstacle}. Use trainer.compile=auto.")
    if requested == "full":
        check_compiler(hardware)


def check_compiler(hardware: Hardware) -> None:
    """Raise UserError if torch.compile cannot work here."""
    if TorchVersion(torch.__version__) < COMPILES_SINCE:
        raise UserError(
            f"trainer.compile=full needs PyTorch {COMPILES_SINCE} or newer, and this is "
            f"{torch.__version__}, which computes no gradients for a network that it compiled while it was frozen. "
            "Use trainer.compile=auto, or install a newer one: pip install --upgrade torch"
        )
    compiler = os.environ.get("CXX", "g++")
    if not hardware.uses_cuda and not shutil.which(compiler):
        raise UserError(
            f"trainer.compile=full needs a C++ compiler, and {compiler} is not installed. "
            "Install it, name yours in the environment variable CXX, or use trainer.compile=auto."
        )
