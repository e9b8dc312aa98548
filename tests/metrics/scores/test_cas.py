import math

import pytest
import torch

from ganrun.metrics.sampling import isolated_rng
from ganrun.metrics.score_inputs import NO_LABELS
from ganrun.metrics.scores.cas import as_input, cas_of_samples, train_classifier


class Inputs:
    """The images of ScoreInputs and their classes."""

    def __init__(self, real, real_labels, fake, labels):
        self.real_images, self.real_image_labels, self.images, self.image_labels = real, real_labels, fake, labels


def halves(seed, n, channels=1, side=14):
    """Noise whose left (class 0) or right (class 1) half is brighter: images and classes."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=generator)
    x = torch.randint(128, (n, channels, side, side), generator=generator)
    for half in (0, 1):
        x[y == half, :, :, half * side // 2 : (half + 1) * side // 2] += 100
    return x.to(torch.uint8), y


def score(inputs):
    with isolated_rng(0):
        return cas_of_samples.compute(inputs)


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_that_show_their_classes_teach_them(channels, monkeypatch):
    monkeypatch.setattr("ganrun.metrics.scores.cas.train_classifier", shortened)
    real, fake = halves(1, 300, channels), halves(2, 300, channels)
    assert score(Inputs(*real, *fake)) == 1


def test_samples_with_exchanged_classes_teach_the_opposite(monkeypatch):
    monkeypatch.setattr("ganrun.metrics.scores.cas.train_classifier", shortened)
    (real, y), (fake, asked) = halves(1, 300), halves(2, 300)
    assert score(Inputs(real, y, fake, 1 - asked)) == 0


def shortened(x, y, classes):
    return train_classifier(x, y, classes, steps=60)


def test_the_same_samples_give_the_same_classifier():
    x, y = halves(1, 50)
    results = []
    for _ in range(2):
        with isolated_rng(0), torch.enable_grad():
            results.append(train_classifier(as_input(x), y, 2, steps=3)(as_input(x)))
    assert torch.equal(*results)


def test_real_images_without_classes_give_no_score():
    x, y = halves(1, 10)
    assert math.isnan(score(Inputs(x, NO_LABELS, x, y)))
