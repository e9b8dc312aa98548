"""The scores of codes, of models whose codes are known."""

from itertools import permutations
from types import SimpleNamespace

import pytest
import torch
from scipy.optimize import linear_sum_assignment

from ganrun.metrics.codes import code_scores, matched_share, score_codes
from ganrun.networks.codes import LatentCodes

CLASSES = 4
RENAMED = torch.tensor([2, 0, 3, 1])  # the category that stands for each class


class Reader:
    """A model whose examples are its latents, and that reads them back; of real ones, it names the renamed class."""

    device = torch.device("cpu")

    def __init__(self, settings, wrong=0.0, shift=0.0):
        """wrong: the share of categories that it reads as the next one.  shift: of the numbers that it reads."""
        self.codes, self.wrong, self.shift = LatentCodes(settings, 20), wrong, shift

    def noise(self, n, generator):
        return torch.cat([self.codes.draw(n, torch.zeros(1), generator), torch.zeros(n, 20 - self.codes.size)], dim=1)

    def decode(self, z):
        return z

    def recognize(self, x):
        found = {}
        for name, q in self.codes.split(x).items():
            is_wrong = torch.arange(len(q)) < self.wrong * len(q)
            found[name] = torch.where(is_wrong[:, None], q.roll(1, dims=1), q) if q.shape[1] > 1 else q + self.shift
        return found


def labelled(y):
    """Real examples: latents whose first code is the renamed class."""
    x = torch.cat([torch.eye(CLASSES)[RENAMED[y]], torch.zeros(len(y), 16)], dim=1)
    return SimpleNamespace(
        gives=("x", "y"),
        classes=[*"abcd"],
        test_count=lambda key: len(y),
        test=lambda key, index: {"x": x, "y": y}[key][index],
    )


Y = torch.arange(40) % CLASSES


def test_a_perfect_reader_is_perfect_whatever_its_categories_are_called():
    model = Reader({"c1": CLASSES, "c2": "uniform"})
    assert score_codes(model, labelled(Y), 40, 16, 0) == {"code_recovery": 1, "code_error": 0, "code_agreement": 1}


def test_wrong_categories_and_shifted_numbers_are_counted():
    model = Reader({"c1": CLASSES, "c2": "uniform", "c3": "normal"}, wrong=0.25, shift=0.5)
    scores = score_codes(model, labelled(Y), 40, 40, 0)
    assert scores["code_recovery"] == pytest.approx(0.75)
    assert scores["code_error"] == pytest.approx(0.5)
    assert scores["code_agreement"] == pytest.approx(0.75)


def test_of_several_codes_the_best_agrees():
    assert score_codes(Reader({"c1": CLASSES, "c2": 3}), labelled(Y), 40, 16, 0)["code_agreement"] == 1


@pytest.mark.parametrize(
    ("settings", "gives", "names"),
    [
        ({"c1": 3}, ("x", "y"), ["code_recovery", "code_agreement"]),
        ({"c1": 3, "c2": "normal"}, ("x",), ["code_recovery", "code_error"]),
        ({"c1": "uniform"}, ("x", "y"), ["code_error"]),
    ],
)
def test_a_model_has_the_scores_of_its_codes(settings, gives, names):
    data = labelled(Y)
    data.gives = gives
    assert [score.name for score in code_scores(Reader(settings), data)] == names
    assert [*score_codes(Reader(settings), data, 40, 16, 0)] == names


@pytest.mark.parametrize("seed", range(5))
def test_categories_are_matched_in_the_best_way(seed):
    counts = torch.randint(0, 50, (6, 6), generator=torch.Generator().manual_seed(seed))
    best = max(sum(int(counts[i, j]) for i, j in enumerate(order)) for order in permutations(range(6)))
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    assert counts.numpy()[rows, columns].sum() == best
    assert matched_share(counts) == pytest.approx(best / counts.sum().item())


def test_categories_that_are_none_of_the_classes_are_wrong():
    assert matched_share(torch.tensor([[5, 0, 0], [0, 5, 0], [5, 5, 0]])) == pytest.approx(0.5)
