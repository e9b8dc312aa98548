"""Players that sit out turns, steps of several forms, and what a checkpoint keeps of both."""

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import RING, Stop, job_of, train
from helpers.recorder import Recorder
from helpers.run_context import bound

from ganrun.errors import Failure
from ganrun.models.player import Player, regular_steps
from ganrun.models.steps.graph_replay import GraphedSteps
from ganrun.training.callbacks.loss_curves import LossCurves


def weights(network):
    return [w.detach().clone() for w in network.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def changed_job(*overrides, every=None, loss=None, form=None):
    """Return a GAN whose generator has other turns or another loss: a function of the model and of its own loss."""
    job = job_of(*RING, "schedule=constant", *overrides)
    model, players = job.model, job.model.players

    def changed():
        discriminator, generator = players()
        generator.every = every or generator.every
        if loss:
            own = generator.loss
            generator.loss = lambda batch: loss(model, own(batch))
        generator.form = (lambda: form(model)) if form else generator.form
        return [discriminator, generator]

    model.players = changed
    model.configure_optimizers()
    return job


class Moves(pl.Callback):
    """Stores the numbers of the batches, from 1, in which a player's weights change."""

    def __init__(self, player="generator"):
        self.player, self.batches = player, []

    def on_train_start(self, trainer, model):
        self.before = weights(getattr(model, self.player))

    def on_train_batch_end(self, trainer, model, *arguments):
        now = weights(getattr(model, self.player))
        self.batches += [] if same(now, self.before) else [model.batches_seen]
        self.before = now


def in_third_batches(model, terms):
    return terms if model.batches_seen % 3 == 2 else None


def test_a_function_of_the_batchs_number_decides_on_turns_as_the_number_does():
    by_number, by_function = Moves(), Moves()
    first = train(changed_job(every=3), 10, by_number).model
    second = train(changed_job(every=lambda k: k % 3 == 0), 10, by_function).model
    assert by_number.batches == by_function.batches == [3, 6, 9]
    assert same(weights(first), weights(second))


def test_a_loss_of_none_takes_no_step_and_leaves_the_optimizer_alone():
    """As if it were not the player's turn; Adam with a zero loss would move on by its moments."""
    moves = Moves()
    sitting = train(changed_job(loss=in_third_batches), 10, moves).model
    left_out = train(changed_job(every=3), 10).model
    assert moves.batches == [3, 6, 9]
    assert same(weights(sitting), weights(left_out))
    states = [model.optimizer_of("generator").state_dict()["state"] for model in (sitting, left_out)]
    assert [int(entry["step"]) for entry in states[0].values()] == [3] * len(states[0])
    assert all(same(states[0][i].values(), states[1][i].values()) for i in states[0])


def test_after_turn_is_not_called_for_a_turn_that_is_sat_out():
    job, called = changed_job(loss=in_third_batches), []
    job.model.after_turn = lambda player: called.append((player.name, job.model.batches_seen))
    train(job, 6)
    assert [batch for name, batch in called if name == "generator"] == [2, 5]


def test_the_average_follows_all_images_since_the_players_last_step():
    """Steps after batches 2, 3 and 7 of 16 images; a slow loop with the half-life of each span."""
    turns, half_life = (2, 3, 7), 40
    overrides = ["ema.half_life_kimg=0.04", "ema.ramp_up=1e12", "optimizer.lr=0.01"]
    job = changed_job(*overrides, every=lambda k: k in turns)
    expected = [w.double() for w in weights(job.model.generator)]
    seen = []

    class Average(pl.Callback):
        def on_train_batch_end(self, trainer, model, *arguments):
            if model.batches_seen in turns:
                keep = 0.5 ** (16 * (model.batches_seen - (seen[-1] if seen else 0)) / half_life)
                seen.append(model.batches_seen)
                for i, w in enumerate(weights(model.generator)):
                    expected[i] = keep * expected[i] + (1 - keep) * w.double()

    train(job, 8, Average())
    for mean, wanted in zip(job.model.averaged["generator"].parameters(), expected, strict=True):
        assert torch.allclose(mean.double(), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_resumed_training_knows_the_last_steps_of_its_players(after, tmp_path):
    overrides = ["ema.half_life_kimg=0.04", "optimizer.lr=0.01"]
    options = {"every": lambda k: k in (2, 3, 7), "loss": lambda model, loss: loss * model.steps_taken["generator"] + 1}
    whole = train(changed_job(*overrides, **options), 8).model
    train(changed_job(*overrides, **options), 8, Stop(after)).model.trainer.save_checkpoint(tmp_path / "a.ckpt")
    rest = changed_job(*overrides, **options)
    rest.data.start_batch = after
    train(rest, 8, ckpt_path=tmp_path / "a.ckpt")
    assert same(rest.model.state_dict().values(), whole.state_dict().values())
    assert (rest.model.steps_taken, rest.model.images_at_step) == (whole.steps_taken, whole.images_at_step)


def test_a_checkpoint_without_counts_of_steps_implies_regular_ones():
    players = [Player("d", [], lambda batch: None), Player("g", [], lambda batch: None, every=5)]
    assert regular_steps({"batches": 13, "images": 130}, players) == {
        "steps": {"d": 13, "g": 2},
        "images_at_step": {"d": 130, "g": 100},
    }
    assert regular_steps({"batches": 0, "images": 0}, players)["images_at_step"] == {"d": 0, "g": 0}


def test_the_optimizer_of_a_player_is_the_one_that_steps_it():
    job = train(job_of(*RING), 1)
    for player in job.model.players():
        optimizer = job.model.optimizer_of(player.name)
        assert isinstance(optimizer, torch.optim.Adam)
        assert optimizer.param_groups[0]["params"] == [w for net in player.nets for w in net.parameters()]


def test_parts_of_a_batch_sit_out_together_or_it_is_an_error():
    sitting = changed_job("accumulate=2", "batch_size=8", loss=in_third_batches)
    moves = Moves()
    train(sitting, 6, moves)
    assert moves.batches == [3, 6]
    divided = changed_job("accumulate=2", loss=lambda model, loss: loss if model.accumulation.part else None)
    with pytest.raises(Failure, match="loss of the generator is None for some parts of a batch"):
        train(divided, 1)


# What is read of rare terms


class Book:
    images_per_second = 0.0

    def __init__(self):
        self.pages, self.restart_clock = [], lambda **_: None

    def add_curves(self, images, curves):
        self.pages.append({name.removeprefix("train/generator/"): value for name, value in curves.items()})


def with_rare_penalty(model, loss):
    terms = {"loss": loss}
    return terms | ({"penalty": loss.new_tensor(float(model.batches_seen))} if model.batches_seen % 4 == 2 else terms)


def test_a_term_of_every_fourth_turn_is_read_once_as_the_mean_of_its_turns():
    book = Book()
    train(changed_job(loss=with_rare_penalty), 12, bound(LossCurves(every=6), record=book))
    assert [page.get("penalty") for page in book.pages] == [2, (6 + 10) / 2]
    book = Book()
    train(changed_job(loss=with_rare_penalty), 12, bound(LossCurves(every=1), record=book))
    assert [page.get("penalty") for page in book.pages] == [*[None] * 2, 2, *[None] * 3, 6, *[None] * 3, 10, None]


def test_a_turn_that_was_sat_out_has_no_gradient_to_read():
    book = Book()
    train(changed_job(loss=in_third_batches), 6, bound(LossCurves(every=1), record=book))
    assert ["gradient" in page for page in book.pages] == [False, False, True, False, False, True]
    assert ["loss" in page for page in book.pages] == [False, False, True, False, False, True]


# Replayed steps


class Replaying(pl.Callback):
    def __init__(self):
        self.recorder = Recorder()

    def on_train_start(self, trainer, model):
        model.graphed_steps = self.steps = GraphedSteps(model, self.recorder)


class Norms(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, model, *arguments):
        self.seen.append({name: float(model.gradient_norm(name)) for name in ("discriminator", "generator")})


def is_lazy_turn(model):
    return (model.steps_taken["generator"] + 1) % 4 == 0


def lazily_penalized(model, loss):
    penalty = sum(w.square().sum() for w in model.generator.parameters())
    return {"loss": loss + penalty, "penalty": penalty} if is_lazy_turn(model) else {"loss": loss}


@pytest.mark.parametrize(
    "options",
    [
        {"loss": lazily_penalized, "form": is_lazy_turn},
        {"every": lambda k: k % 5 in (0, 2)},
        {"loss": in_third_batches},
    ],
    ids=["a penalty in every fourth step", "turns by a function", "a loss that is None at first"],
)
def test_replayed_steps_follow_what_differs_between_turns(options):
    replaying, seen, expected = Replaying(), Norms(), Norms()
    found = train(changed_job(**options), 60, replaying, seen).model
    plain = train(changed_job(**options), 60, expected).model
    assert same(weights(found), weights(plain))
    assert seen.seen == expected.seen
    players = {name for name, _ in replaying.steps.captured}
    assert players == {"discriminator"} if "loss" in options and "form" not in options else len(players) == 2
    assert replaying.recorder.replayed > 40
    assert not replaying.steps.is_disabled


def test_each_form_of_a_step_has_a_graph():
    replaying = Replaying()
    train(changed_job(loss=lazily_penalized, form=is_lazy_turn), 60, replaying)
    assert {form for name, form in replaying.steps.captured if name == "generator"} == {False, True}
    assert replaying.recorder.replayed == 57 + (60 - 15 - 3) + (15 - 3)
