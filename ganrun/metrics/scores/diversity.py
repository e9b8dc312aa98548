"""The spread of the samples' features relative to that of the real ones; it finds mode collapse."""

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score


@score(
    "diversity",
    better="",  # more diversity than the data has is not better
    needs=("moments",),
    has_baseline=True,
    note="RMS distance between two samples, over the data's",
)
def diversity(inputs: ScoreInputs) -> float:
    return inputs.moments.diversity().item()
