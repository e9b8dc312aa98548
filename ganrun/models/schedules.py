"""Learning-rate schedules: share of the training done, 0..1 -> factor of the learning rate."""


def linear_decay(progress: float, start: float, end: float) -> float:
    """1 until `start`, then linear to `end` at the end of the training. Zhu et al. 2017 (start .5, end 0)."""
    share = max(0.0, progress - start) / max(1 - start, 1e-12)
    return 1 + (end - 1) * min(share, 1.0)
