"""Explains errors from below: out of memory, and operations without a deterministic form."""

import os
import re

from omegaconf import DictConfig, OmegaConf

from ganrun.errors import MEMORY_SIZE, Failure, is_out_of_memory

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def explain_failure(error: BaseException, cfg: DictConfig) -> Failure | None:
    """Return a Failure that says what happened and what to try; None for other errors."""
    text = str(error)
    if random := re.search(r"(\w+) does not have a deterministic implementation", text):
        return Failure(
            f"trainer.deterministic=true cannot be met on this device: {random[1]} has no deterministic form there. "
            "Start again without it; the weights then differ in their last digits from run to run."
        )
    if not is_out_of_memory(error):
        return None
    is_host = isinstance(error, MemoryError) or "CPUAllocator" in text
    requested = re.search(rf"[aA]llocate ({MEMORY_SIZE})", text)
    size = format_bytes(requested[1]) if requested else "more memory"
    device, state = ("This machine", host_memory()) if is_host else ("The GPU", gpu_memory(text))
    advice = ", or ".join(suggest_settings(cfg, is_host))
    return Failure(f"{device} ran out of memory: it could not allocate {size}{state}. Try {advice}.")


def suggest_settings(cfg: DictConfig, is_host: bool) -> list[str]:
    """Return overrides that need less memory, first those that change the experiment least."""
    settings = []
    if not is_host and OmegaConf.select(cfg, "data.device") in ("auto", "cuda"):
        settings.append("data.device=cpu (keeps the data in the machine's memory)")
    if not is_host and "16" not in str(OmegaConf.select(cfg, "trainer.precision")):
        settings.append("trainer.precision=bf16-mixed")
    if cfg.batch_size > 1:
        parts = 2 * (OmegaConf.select(cfg, "accumulate") or 1)
        settings.append(f"batch_size={cfg.batch_size // 2} accumulate={parts} (half as much at once, slower)")
    if not is_host and OmegaConf.select(cfg, "trainer.compile") not in (None, "off"):
        settings.append("trainer.compile=off (CUDA graphs hold on to their memory)")
    width = OmegaConf.select(cfg, "network.width") or 1
    return [*settings, f"network.width={width // 2} (half)" if width > 1 else "a smaller network"]


def gpu_memory(text: str) -> str:
    """Return what torch says about the GPU: "; of 8.00 GiB, 3.06 MiB were free and this run used 7.20 GiB"."""
    total = re.search(rf"total capacity of ({MEMORY_SIZE}) of which ({MEMORY_SIZE}) is free", text)
    used = re.search(rf"this process has ({MEMORY_SIZE}) memory in use", text)
    free = f"; of {total[1]}, {total[2]} were free" if total else ""
    return free + (f" and this run used {used[1]}" if used else "")


def host_memory() -> str:
    """Return the size of the machine's memory, if the system tells."""
    try:
        return f"; it has {format_bytes(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))}"
    except (AttributeError, ValueError, OSError):
        return ""


def format_bytes(size: str | int) -> str:
    """Return a number of bytes in its largest unit of at least one; other strings as they are."""
    number = re.fullmatch(r"(\d+)( ?bytes)?", str(size))
    if not number:
        return str(size)
    value, power = float(number[1]), 0
    while value >= 1024 and power < len(UNITS) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.2f} {UNITS[power]}" if power else f"{value:.0f} bytes"
