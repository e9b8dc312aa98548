"""Scores of models whose codes can be read from examples: those that have `recognize`."""

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from ganrun.metrics import sampling
from ganrun.metrics.scores import Score
from ganrun.metrics.scores.codes import CODE_AGREEMENT, CODE_ERROR, CODE_RECOVERY
from ganrun.seeds import generator


def code_scores(model, data) -> list[Score]:
    """Return the scores that the codes of this model can have on these data."""
    has_categories = any(code.size > 1 for code in model.codes.values())
    has_numbers = any(code.size == 1 for code in model.codes.values())
    has_both = has_categories and "y" in data.gives
    scores = [(CODE_RECOVERY, has_categories), (CODE_ERROR, has_numbers), (CODE_AGREEMENT, has_both)]
    return [score for score, is_measured in scores if is_measured]


def score_codes(model, data, samples: int, batch_size: int, seed: int) -> dict[str, float]:
    """Return {number: value} for `samples` samples and as many test images, or all of these if there are fewer."""
    names = [score.name for score in code_scores(model, data)]
    rank, world = sampling.rank_and_world()
    device, stream = model.device, generator(seed, rank)
    right, error = MeanMetric().to(device), MeanSquaredError(squared=False).to(device)
    for part in torch.arange(rank, samples, world).split(batch_size):
        z = model.noise(len(part), stream)
        codes, found = model.codes.split(z), model.recognize(model.decode(z))
        for name, code in model.codes.items():
            if code.size > 1:
                right.update((found[name].argmax(1) == codes[name].argmax(1)).float())
            else:
                error.update(found[name].float().contiguous(), codes[name].float().contiguous())
    measured: dict[str, Metric] = {CODE_RECOVERY.name: right, CODE_ERROR.name: error}
    values = {name: measured[name].compute().item() for name in names if name in measured}
    if CODE_AGREEMENT.name in names:
        values[CODE_AGREEMENT.name] = max(agreements(model, data, samples, batch_size))
    return values


def agreements(model, data, samples: int, batch_size: int) -> list[float]:
    """Return for each code with values the share of test images whose class is matched to their value of the code."""
    rank, world = sampling.rank_and_world()
    count = sampling.require_samples(min(samples, data.test_count("x")), world)
    sizes = {name: max(code.size, len(data.classes)) for name, code in model.codes.items() if code.size > 1}
    tables = {name: MulticlassConfusionMatrix(size).to(model.device) for name, size in sizes.items()}
    for index in torch.arange(rank, count, world).split(batch_size):
        found, y = model.recognize(data.test("x", index).to(model.device)), data.test("y", index).to(model.device)
        for name, table in tables.items():
            table.update(found[name].argmax(1), y)
    return [matched_share(table.compute()) for table in tables.values()]


def matched_share(counts: Tensor) -> float:
    """Return the largest share of a square table of counts that lies in cells of different rows and columns.

    That is the accuracy of categories that are each matched to another class, in the best way.
    """
    import networkx  # a quarter of a second, which only these scores need

    table, n = counts.tolist(), len(counts)
    graph = networkx.Graph()
    graph.add_weighted_edges_from((i, n + j, table[i][j]) for i in range(n) for j in range(n))
    pairs = networkx.max_weight_matching(graph)
    return sum(table[min(pair)][max(pair) - n] for pair in pairs) / sum(map(sum, table))
