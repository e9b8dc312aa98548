"""DCI: disentanglement and completeness from how much each code counts in predictions of each factor."""

import math

import torch
from torch import Tensor

from ganrun.metrics.scores import Score

TINY = 1e-11
DCI = Score(
    "dci",
    better={"dci_disentanglement": "higher", "dci_completeness": "higher", "dci_informativeness": "higher"},
    note="boosted trees that read factors from codes, fitted to {dci_fitted:,}",
)


def dci_scores(codes: Tensor, factors: Tensor, fitted: int, seed: int) -> dict[str, float]:
    """Return disentanglement, completeness and informativeness: 0..1 each.

    codes: [n, d].   factors: whole numbers, int64 [n, k].   fitted: the examples that trees are fitted to, the first
    ones; the others measure the accuracy.
    Eastwood & Williams 2018, section 2, with the gradient boosted trees of Locatello et al. 2019, appendix B:
    scikit-learn's with its defaults; informativeness is their mean accuracy. NaN if a factor has a single
    value among the fitted.
    """
    if (factors[:fitted] == factors[0]).all(0).any():
        return dict.fromkeys(DCI.numbers, math.nan)
    importance, accuracy = fit_trees(codes, factors, fitted, seed)
    values = (concentration(importance), concentration(importance.T), accuracy)
    return dict(zip(DCI.numbers, values, strict=True))


def fit_trees(codes: Tensor, factors: Tensor, fitted: int, seed: int) -> tuple[Tensor, float]:
    """Return the importance of each code for each factor, float64 [d, k] with sums of 1 or 0, and the mean accuracy."""
    from sklearn.ensemble import GradientBoostingClassifier  # takes seconds

    z, importances, accuracies = codes.numpy(), [], []
    for v in factors.T.numpy():
        trees = GradientBoostingClassifier(random_state=seed).fit(z[:fitted], v[:fitted])
        importances.append(torch.from_numpy(trees.feature_importances_))
        accuracies.append(trees.score(z[fitted:], v[fitted:]))
    return torch.stack(importances, dim=1), sum(accuracies) / len(accuracies)


def concentration(importance: Tensor) -> float:
    """Return how much each row of an importance matrix is in one column: 0 for equal shares, 1 for a single one.

    It is 1 - H, H being the entropy of the row's shares in units of that of equal shares; a mean over rows, weighted by
    their sums. Eastwood & Williams 2018, section 2: of [codes, factors] it is the disentanglement, of the transpose
    the completeness. A matrix of zeros has 0.
    """
    weights, columns = importance + TINY, importance.shape[1]
    shares = weights / weights.sum(1, keepdim=True)
    entropies = -torch.special.xlogy(shares, shares).sum(1) / math.log(max(columns, 2))
    return ((1 - entropies) * weights.sum(1)).sum().item() / weights.sum().item()
