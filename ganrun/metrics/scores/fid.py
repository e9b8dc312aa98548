"""The Frechet distance; FID on Inception features. Heusel et al. 2017."""

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score


@score("fd", better="lower", needs=("moments",), has_baseline=True, note="against {reference:,} real")
def fid(inputs: ScoreInputs) -> float:
    return inputs.moments.compute().item()
