"""How often the extractor's classifier sees the class that the generator was asked for."""

from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score


@score("accuracy", better="higher", needs=("logits", "labels"), note="share of samples classified as requested")
def accuracy(inputs: ScoreInputs) -> float:
    hits = (inputs.logits.argmax(1) == inputs.labels).float()
    return (hits.sum() / len(hits)).item()
