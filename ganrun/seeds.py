"""Seeds as pure functions: the same values give the same random numbers, whatever was drawn before."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a sweep needs hashes alone, and starts faster without torch
    import torch

_MASK = 0xFFFFFFFF


def hash_integers(*values: int) -> int:
    """Return a well spread 32-bit hash of integers: FNV-1a over them, then MurmurHash3's finalizer."""
    h = 0x811C9DC5
    for value in values:
        h = ((h ^ (value & _MASK)) * 0x01000193) & _MASK
        h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _MASK
        h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _MASK
    return h ^ (h >> 16)


def hash_names(*names: int | str, size: int) -> int:
    """Return a hash of `size` bytes of names and numbers: BLAKE2b over their texts."""
    return int.from_bytes(blake2b("/".join(map(str, names)).encode(), digest_size=size).digest(), "little")


def generator(*values: int) -> torch.Generator:
    """Return a CPU generator seeded with `hash_integers(*values)`."""
    import torch

    return torch.Generator().manual_seed(hash_integers(*values))


def named_generator(*names: int | str) -> torch.Generator:
    """Return a CPU generator seeded with the names: one for each purpose, such as ("flip", batch number)."""
    import torch

    return torch.Generator().manual_seed(hash_names(*names, size=8) >> 1)


def seed_training_noise(device: torch.device, seed: int, rank: int, batch: int) -> None:
    """Seed torch's default generators, of the CPU and of `device`, for one training batch of one rank.

    This sets the generators directly: torch.manual_seed also walks the call stack for devices that have not started.
    """
    import torch

    number = hash_integers(seed, rank, batch)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
