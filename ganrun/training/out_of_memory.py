"""What ends a training from below, memory that ran out above all, in words."""

import os
import re

from omegaconf import DictConfig, OmegaConf

from ganrun.errors import Failure

SIGNS = r"out of memory|can't allocate memory|Unable to allocate|ALLOC_FAILED"  # torch's, the CPU's, numpy's, cuDNN's
SIZE = r"\d[\d.]* ?[KMGTP]?i?(?:B|bytes)"
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def explain_failure(error: BaseException, cfg: DictConfig) -> Failure | None:
    """What happened and what to try; None for an error that is neither for want of memory nor of determinism."""
    text = str(error)
    if random := re.search(r"(\w+) does not have a deterministic implementation", text):
        return Failure(
            f"trainer.deterministic=true cannot be kept on this device: {random[1]} has no deterministic form there. "
            "Start again without it: the weights then differ in their last digits from run to run."
        )
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and re.search(SIGNS, text)):
        return None
    is_host = isinstance(error, MemoryError) or "CPUAllocator" in text
    asked = re.search(rf"[aA]llocate ({SIZE})", text)
    wanted = f"{format_bytes(asked[1])} more were asked for" if asked else "more was asked for"
    place, state = ("this machine", host_memory()) if is_host else ("the GPU", gpu_memory(text))
    return Failure(
        f"The memory of {place} ran out: {wanted}{state}. Try {', or '.join(suggest_settings(cfg, is_host))}."
    )


def suggest_settings(cfg: DictConfig, is_host: bool) -> list[str]:
    """Settings that need less memory, first those that leave the experiment most as it is."""
    ways = []
    if not is_host and OmegaConf.select(cfg, "data.device") in ("auto", "cuda"):
        ways.append("data.device=cpu (the examples then lie in the machine's memory)")
    if not is_host and "16" not in str(OmegaConf.select(cfg, "trainer.precision")):
        ways.append("trainer.precision=bf16-mixed")
    if cfg.batch_size > 1:
        ways.append(f"batch_size={cfg.batch_size // 2} (half: the gradients are noisier)")
    if not is_host and OmegaConf.select(cfg, "trainer.compile") not in (None, "off"):
        ways.append("trainer.compile=off (a CUDA graph keeps its memory)")
    width = OmegaConf.select(cfg, "network.width") or 1
    return [*ways, f"network.width={width // 2} (half)" if width > 1 else "a smaller network"]


def gpu_memory(text: str) -> str:
    """What torch says of the GPU: "; of its 8.00 GiB 3.06 MiB were free, 7.20 GiB this run's"."""
    has = re.search(rf"total capacity of ({SIZE}) of which ({SIZE}) is free", text)
    held = re.search(rf"this process has ({SIZE}) memory in use", text)
    return (f"; of its {has[1]} {has[2]} were free" if has else "") + (f", {held[1]} this run's" if held else "")


def host_memory() -> str:
    """How large the machine's memory is, where the system tells."""
    try:
        return f"; it has {format_bytes(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))}"
    except (AttributeError, ValueError, OSError):
        return ""


def format_bytes(size: str | int) -> str:
    """A number of bytes in the unit that leaves one to four digits before the point; other texts as they are."""
    found = re.fullmatch(r"(\d+)( ?bytes)?", str(size))
    if not found:
        return str(size)
    value, power = float(found[1]), 0
    while value >= 1024 and power < len(UNITS) - 1:
        value, power = value / 1024, power + 1
    return f"{value:.2f} {UNITS[power]}" if power else f"{value:.0f} bytes"
