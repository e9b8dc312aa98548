"""How to read a score by its name."""

import re

LOWER = ("fd", "fid", "kid", "intra", "l1", "copied", "near_copies", "reverse_kl")
HIGHER = ("is", "precision", "recall", "density", "coverage", "accuracy", "modes", "mode_overlap", "high_quality")


def better_direction(name: str) -> str:
    """Whether a lower or a higher value of the score is the better one, "" where neither is: val/fd_lenet -> lower.

    A diversity above the data's is no gain, and a deviation tells how far a mean is to be trusted.
    """
    plain = name.removeprefix("val/")
    if "deviation" in plain or "untranslated" in plain:
        return ""
    if any(re.match(rf"{word}(_|$)", plain) for word in HIGHER):
        return "higher"
    return "lower" if any(re.match(rf"{word}(_|$)", plain) for word in LOWER) else ""
