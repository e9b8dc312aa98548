"""The loops of other projects in the benchmark: they train what ganrun trains, in their own order."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.benches import load_script
from torch import nn

FEW = ["network.generator.hidden=[8]", "network.discriminator.hidden=[8]", "batch_size=16"]
LOOPS = ["PyTorchGANDcgan", "TorchganTrainer", "HyperGANStep", "PyTorchGANWganGp"]


@pytest.fixture
def bench(monkeypatch, tmp_path):
    monkeypatch.setenv("GANRUN_CACHE", str(tmp_path / "cache"))
    with load_script("bench_loop", monkeypatch) as module:
        yield module


def small(bench, name):
    """Return a work with tiny networks for this loop alone."""
    work = bench.PENALIZED_WGAN if name == "PyTorchGANWganGp" else bench.SMALL
    return bench.alone(replace(work, overrides=[*work.overrides, *FEW]), getattr(bench, name))


@pytest.fixture
def loops(bench, tmp_path):
    """Return name -> (the loop, ganrun's model with the same weights)."""

    def build(name):
        job = bench.build_work(small(bench, name), tmp_path)
        return getattr(bench, name)(job), bench.build.build_model(job.cfg, job.data)

    return build


def draws(shape, seed=0):
    """Return a function that draws the same sequence of tensors each time it is made: n -> [n, *shape]."""
    random = torch.Generator().manual_seed(seed)
    return lambda n: torch.rand((n, *shape), generator=random)


class Players:
    """ganrun's model and losses, with plain Adam, moved by hand."""

    def __init__(self, model, settings):
        self.model, self.players = model, {player.name: player for player in model.players()}
        self.adam = {
            name: torch.optim.Adam([w for net in player.nets for w in net.parameters()], **settings)
            for name, player in self.players.items()
        }

    def move(self, name, x, z, weight=1.0, fake=None):
        """Take one step of the player with this noise, or these fakes, and its loss times the weight."""
        self.model.noise = lambda n: z
        if fake is not None:
            self.model.fake_like = lambda batch: fake
        for other, player in self.players.items():
            for net in player.nets:
                net.requires_grad_(other == name)
        terms = self.players[name].loss({"x": x})
        self.adam[name].zero_grad()
        (weight * (terms["loss"] if isinstance(terms, Mapping) else terms)).backward()
        self.adam[name].step()
        vars(self.model).pop("fake_like", None)


def move_like_pytorch_gan(players, x, noise, step):
    z = noise(len(x))
    fake = players.model.generator(z).detach()
    players.move("generator", x, z)
    players.move("discriminator", x, z, weight=0.5, fake=fake)


def move_like_torchgan(players, x, noise, step):
    for name in ("generator", "discriminator"):
        players.move(name, x, noise(len(x)))


def move_like_hypergan(players, x, noise, step):
    z = noise(len(x))
    for name in ("discriminator", "generator"):
        players.move(name, x, z)


def move_like_wgan_gp(players, x, noise, step):
    z = noise(len(x))
    players.move("discriminator", x, z)
    if step % players.model.d_steps == 0:
        players.move("generator", x, z)


MOVES = dict(
    zip(LOOPS, [move_like_pytorch_gan, move_like_torchgan, move_like_hypergan, move_like_wgan_gp], strict=True)
)


@pytest.mark.parametrize("name", LOOPS)
def test_a_loop_trains_what_the_losses_of_ganrun_train_in_the_order_of_the_project(loops, name):
    loop, model = loops(name)
    batches = [next(loop.source) for _ in range(12)]
    loop.source = iter(batches)
    loop.noise = loop.nets.noise = draws([model.z_dim])
    loop.points = draws([1, 1, 1], seed=1)
    points = draws([1, 1, 1], seed=1)
    model.draw = lambda make, n: make(n) if make is vars(model).get("noise") else points(n)
    loop.run(12)
    players, noise = Players(model, loop.settings()), draws([model.z_dim])
    for step, x in enumerate(batches):
        MOVES[name](players, x, noise, step)
    for ours, theirs in zip(model.parameters(), loop.nets.parameters(), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-4, atol=1e-6)


def count_examples(net):
    """Count the examples that pass the networks: Counter({"generator": 16, ...})."""
    counts = Counter()
    for name, child in net.named_children():
        if [*child.parameters()]:
            child.register_forward_pre_hook(lambda module, inputs, name=name: counts.update({name: len(inputs[0])}))
    return counts


@pytest.mark.parametrize(
    ("name", "fakes", "scores"),
    [
        ("PyTorchGANDcgan", 1, 3),
        ("TorchganTrainer", 2, 3),
        ("HyperGANStep", 1, 4),
        ("PyTorchGANWganGp", 1 + 1 / 5, 3 + 1 / 5),
    ],
)
def test_a_loop_samples_as_many_fakes_and_scores_as_many_examples_as_the_project(loops, name, fakes, scores):
    loop, _ = loops(name)
    counts = count_examples(loop.nets)
    loop.run(5)
    examples = 5 * loop.size
    assert counts == {"generator": round(fakes * examples), "discriminator": round(scores * examples)}


@pytest.mark.parametrize("name", LOOPS)
def test_the_row_of_a_loop_is_measured_by_turns_with_the_whole_of_training(bench, name):
    work = small(bench, name)
    rounds = bench.run_alternately(work, rounds=3, batches=5)
    (row,) = bench.list_ratios(work, rounds)
    assert (row["work"], row["against"]) == (work.name, getattr(bench, name).label)
    assert len(row["ratios"]) == 3
    assert rounds.our_batches == rounds.others[row["against"]].batches == 20


def test_each_row_of_a_project_can_be_measured_alone(bench, monkeypatch):
    with load_script("bench", monkeypatch) as script:
        parts = bench.parts(None, False)
        assert [*script.choose_parts(parts, "torchgan")] == [
            f"{bench.DCGAN.name} against {bench.TorchganTrainer.label}"
        ]
        rows = [row for row in parts if row.endswith("written anew")]
        assert [[*script.choose_parts(parts, row)] for row in rows] == [[row] for row in rows]
        assert len(rows) == 5


def test_the_slope_of_a_linear_critic_is_the_norm_of_its_weights(bench, monkeypatch):
    with load_script("bench_projects", monkeypatch) as projects:
        critic = nn.Linear(2, 1, bias=False)
        nn.init.constant_(critic.weight, 2.0)
        x, at = torch.randn(2, 5, 2), torch.rand(5, 1)
        penalty = projects.gradient_penalty(critic, *x, at)
        torch.testing.assert_close(penalty, torch.tensor((8**0.5 - 1) ** 2))


def test_torchgans_trainer_keeps_losses_and_the_squared_gradients_of_both_players(loops):
    loop, _ = loops("TorchganTrainer")
    gradients = []
    loop.optimizer_g.register_step_post_hook(
        lambda adam, *_: gradients.append(sum((w.grad**2).sum() for w in loop.nets.generator.parameters()).item())
    )
    loop.run(3)
    assert loop.gradients["generator"] == pytest.approx(gradients)
    assert loop.sums == {player: pytest.approx(sum(losses)) for player, losses in loop.losses.items()}
    assert [len(values) for values in (*loop.losses.values(), *loop.gradients.values())] == [3] * 4


def test_hypergans_step_averages_both_networks(loops):
    loop, _ = loops("HyperGANStep")
    before = [w.clone() for w in loop.averaged.parameters()]
    loop.run(1)
    for averaged, old, new in zip(loop.averaged.parameters(), before, loop.nets.parameters(), strict=True):
        torch.testing.assert_close(averaged, 0.995 * old + 0.005 * new.detach())


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_hypergans_step_refuses_what_is_not_finite(loops, where):
    loop, _ = loops("HyperGANStep")
    net = SimpleNamespace(parameters=lambda: [w])
    w = nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([1.0, float("inf") if where == "gradient" else 1.0])
    with pytest.raises(FloatingPointError):
        loop.refuse_nonfinite(torch.tensor(float("nan") if where == "loss" else 1.0), net)
    w.grad = torch.ones(2)
    loop.refuse_nonfinite(torch.tensor(1.0), net)
    assert torch.equal(w.grad, torch.ones(2))
