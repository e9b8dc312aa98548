"""Seeds as functions of where one stands, so that a draw depends on nothing but its place."""

import torch

_WORD = 0xFFFFFFFF


def mix(*parts: int) -> int:
    """A well spread 32-bit number from whole numbers: FNV-1a over them, then the finalizer of MurmurHash3."""
    h = 0x811C9DC5
    for part in parts:
        h = ((h ^ (part & _WORD)) * 0x01000193) & _WORD
        h = ((h ^ (h >> 16)) * 0x85EBCA6B) & _WORD
        h = ((h ^ (h >> 13)) * 0xC2B2AE35) & _WORD
    return h ^ (h >> 16)


def generator(*parts: int) -> torch.Generator:
    """A CPU generator seeded with `mix(*parts)`."""
    return torch.Generator().manual_seed(mix(*parts))


def seed_training_noise(device: torch.device, seed: int, rank: int, batch: int) -> None:
    """Seeds torch's default generators (CPU and `device`) for one training batch of one rank.

    The generators are addressed directly: torch.manual_seed also walks the call stack for devices not yet started.
    """
    word = mix(seed, rank, batch)
    torch.default_generator.manual_seed(word)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(word)
    elif device.type == "mps":
        torch.mps.manual_seed(word)
