"""What is read of each model's players while it trains, against slow loops over its scores and gradients."""

import math

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import SMALL, job_of, train
from helpers.run_context import bound

from ganrun.models.cgan import CGAN
from ganrun.models.dcgan import DCGAN
from ganrun.models.gan import GAN
from ganrun.training.callbacks import loss_curves
from ganrun.training.callbacks.loss_curves import LossCurves, exact_mean


class Book:
    """A record that keeps the readings."""

    images_per_second = 0.0

    def __init__(self):
        self.pages, self.restart_clock = [], lambda **_: None

    def add_curves(self, images, curves):
        self.pages.append(curves)


class Slowly(pl.Callback):
    """What each reading should be: scores as they are after the batch, gradients as each turn leaves them."""

    def __init__(self):
        self.gradients, self.pages = {}, []

    def on_fit_start(self, trainer, model):
        after_turn = model.after_turn

        def watched(player):
            after_turn(player)
            values = [w.grad.flatten().tolist() for net in player.nets for w in net.parameters()]
            self.gradients[player.name] = math.sqrt(sum(value**2 for own in values for value in own))

        model.after_turn = watched

    def on_train_batch_end(self, trainer, model, *arguments):
        self.pages.append({})
        for player, terms in model.terms.items():
            if player not in self.gradients:
                continue
            for name, value in terms.items():
                values = value.flatten().tolist()
                self.pages[-1][f"train/{player}/{name}"] = sum(values) / len(values)
                if name in ("real", "fake") and model.__class__ in (GAN, DCGAN, CGAN):  # with the logistic loss
                    probabilities = [1 / (1 + math.exp(-value)) for value in values]
                    mean = sum(probabilities) / len(probabilities)
                    self.pages[-1][f"train/{player}/probability_{name}"] = mean
            for side in [side for side in ("", "_a", "_b") if f"real{side}" in terms]:
                self.pages[-1][f"train/{player}/accuracy{side}"] = told_apart(terms, side)
            self.pages[-1][f"train/{player}/gradient"] = self.gradients.pop(player)  # of the players of this batch


def told_apart(terms, side):
    pairs = [*zip(terms[f"real{side}"].flatten().tolist(), terms[f"fake{side}"].flatten().tolist(), strict=True)]
    return sum((real > fake) + (real == fake) / 2 for real, fake in pairs) / len(pairs)


@pytest.mark.parametrize("model", SMALL)
def test_terms_accuracy_and_gradient_are_read_as_slow_loops_find_them(model):
    book, slowly = Book(), Slowly()
    train(job_of(*SMALL[model]), 6, bound(LossCurves(every=1), record=book), slowly)
    assert len(book.pages) == 6
    for page, expected in zip(book.pages, slowly.pages, strict=True):
        assert page.keys() == expected.keys()
        assert page == pytest.approx(expected, rel=1e-4, abs=1e-7)
    scores = {name for name in page if name.split("/")[-1].startswith("accuracy")}
    sides = ("s/accuracy_a", "s/accuracy_b") if model == "cyclegan" else ("/accuracy",)
    assert scores == {f"train/discriminator{side}" for side in sides}


@pytest.mark.parametrize("precision", ["64-true", "bf16-true", "bf16-mixed"])
@pytest.mark.parametrize("model", ["gan", "cyclegan"])
def test_the_players_are_read_at_every_precision(model, precision):
    book = Book()
    train(job_of(*SMALL[model], f"trainer.precision={precision}"), 2, bound(LossCurves(every=1), record=book))
    assert all(math.isfinite(value) for page in book.pages for value in page.values())


@pytest.mark.parametrize("model", SMALL)
def test_the_training_does_not_depend_on_being_read(model):
    plain = train(job_of(*SMALL[model]), 4).model.state_dict()
    read = train(job_of(*SMALL[model]), 4, bound(LossCurves(every=1), record=Book())).model.state_dict()
    assert all(torch.equal(plain[name], read[name]) for name in plain if torch.is_tensor(plain[name]))


def test_a_gradient_is_as_long_as_clip_lets_it_be_and_zero_where_there_is_none():
    book = Book()
    job = train(job_of(*SMALL["gan"], "clip=0.01"), 2, bound(LossCurves(every=1), record=book))
    assert [page["train/generator/gradient"] for page in book.pages] == pytest.approx([0.01, 0.01], rel=1e-3)
    job.model.zero_grad()
    assert job.model.gradient_norm("generator").item() == 0


def means_of(pages):
    """The means of each curve over the pages that have it, as a slow loop finds them; gradients: the last one."""
    values = {}
    for page in pages:
        for name, value in page.items():
            values.setdefault(name, []).append(value)
    return {name: own[-1] if name.endswith("/gradient") else sum(own) / len(own) for name, own in values.items()}


@pytest.mark.parametrize("most_held", [loss_curves.MOST_HELD, 0])
@pytest.mark.parametrize("model", SMALL)
def test_a_point_is_the_mean_over_the_batches_before_it(model, most_held, monkeypatch):
    singles, book = Book(), Book()
    train(job_of(*SMALL[model]), 11, bound(LossCurves(every=1), record=singles))
    monkeypatch.setattr(loss_curves, "MOST_HELD", most_held)
    train(job_of(*SMALL[model]), 11, bound(LossCurves(every=4), record=book))
    assert len(book.pages) == 3
    for page, batches in zip(book.pages, [singles.pages[:4], singles.pages[4:8], singles.pages[8:]], strict=True):
        assert page == pytest.approx(means_of(batches), rel=1e-6, abs=1e-9)


def test_a_mean_of_batches_that_became_infinite_says_so():
    inf = math.inf
    assert exact_mean([1.0, inf]) == inf
    assert math.isnan(exact_mean([inf, -inf]))
    assert exact_mean([1e16, 1.0, -1e16]) == pytest.approx(1 / 3)


def test_nothing_is_read_between_the_marks():
    book = Book()
    train(job_of(*SMALL["gan"]), 5, bound(LossCurves(every=3), record=book))
    assert len(book.pages) == 2  # after the third batch and at the end


def test_a_players_reading_begins_with_its_first_turn():
    book = Book()
    train(job_of(*SMALL["wgan"]), 5, bound(LossCurves(every=4), record=book))
    first, last = ({name.split("/")[1] for name in page} for page in book.pages)
    assert (first, last) == ({"discriminator"}, {"discriminator", "generator"})
