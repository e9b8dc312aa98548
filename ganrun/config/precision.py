"""The arithmetic of a run: what trainer.precision=auto means on this machine."""

import os
from dataclasses import dataclass
from math import prod

import torch
from omegaconf import DictConfig

from ganrun.config import trust

FLOAT32, BFLOAT16 = "32-true", "bf16-mixed"  # what `auto` chooses between
UNRECORDED = ""  # the precision of a run of version 0.1, which used bfloat16 on GPUs only
MIN_PIXELS = 64 * 64  # in a batch; with fewer, casts to bfloat16 take about as long as they save: docs/clusters.md
ISAS_WITHOUT_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI")


@dataclass(frozen=True)
class Precision:
    """name: in Lightning's notation.   reason: why it is used, in words."""

    name: str
    reason: str


def resolve_precision(cfg: DictConfig, device: str, devices: int = 1, begun: str | None = None) -> Precision:
    """Return the precision of a run: bfloat16 for images where this device computes it natively and it pays.

    On a CPU it pays with the networks of ganrun and at least MIN_PIXELS pixels in a batch on each device.

    device: cuda, cpu or another.  begun: what `auto` chose when the run began, which stays; UNRECORDED if that is not
    known; None for a new run.
    """
    if cfg.trainer.precision != "auto":
        return Precision(cfg.trainer.precision, "as set")
    if begun == UNRECORDED and device == "cpu":
        begun = FLOAT32
    if begun in (FLOAT32, BFLOAT16):
        return Precision(begun, "as the run began")
    is_points = "point" in (cfg.data.get("gives") or ()) or len(cfg.data.get("shape") or ()) == 1
    obstacle = "points need more than bfloat16's 8 bits" if is_points else missing_bfloat16(device)
    if device == "cpu":
        obstacle = obstacle or cpu_obstacle(cfg, devices)
    return (
        Precision(FLOAT32, obstacle)
        if obstacle
        else Precision(BFLOAT16, f"faster, as this {name_device(device)} computes bfloat16 natively")
    )


def missing_bfloat16(device: str) -> str:
    """Return why bfloat16 is not to be used on this kind of device; "" if the device computes it natively."""
    if device not in ("cpu", "cuda"):
        return f"float32 is used on {device}"
    has_it = computes_bfloat16() if device == "cpu" else torch.cuda.is_bf16_supported(including_emulation=False)
    return "" if has_it else f"this {name_device(device)} does not compute bfloat16 natively"


def name_device(device: str) -> str:
    return {"cpu": "CPU", "cuda": "GPU"}[device]


def computes_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16 that oneDNN uses: AVX-512 BF16, which comes with AMX too.

    Not those of ARM: nobody has measured there whether the gradients of convolutions become faster.
    """
    has_instructions = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "")).upper()
    return has_instructions and torch.backends.mkldnn.is_available() and limit not in ISAS_WITHOUT_BFLOAT16


def cpu_obstacle(cfg: DictConfig, devices: int) -> str:
    """Return why bfloat16 is no choice of `auto` on a CPU that computes it; "" if it is."""
    if not cfg.data.get("shape"):
        return "the size of the images is not known"
    pixels = prod(cfg.data.shape[1:]) * cfg.batch_size // devices
    if pixels < MIN_PIXELS:
        return f"a batch of {pixels:,} pixels is too small to be faster in bfloat16"
    if cfg.trainer.num_nodes > 1:
        return "the CPUs of several machines may differ"
    if any(key.partition(".")[0] in ("model", "network", "init") for key, _ in trust.foreign_targets(cfg)):
        return "classes of your own may not work in bfloat16; trainer.precision=bf16-mixed tries it"
    return ""
