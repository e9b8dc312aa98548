"""AdaGAN: weights of hand-made examples, one component as GAN, a mixture that samples and resumes between rounds."""

import pytest
import torch
from helpers.killed import assert_resumes_exactly
from helpers.model_training import RING, SMALL_DIGITS, job_of, train
from helpers.plain_loops import assert_same_weights
from torch.nn.functional import logsigmoid

from ganrun.cli.main import main
from ganrun.models.boosting import draw_by_weight, example_weights

ADAGAN = [*RING, "model=adagan", "model.z_dim=5"]
THREE = [
    *ADAGAN,
    "model.components=3",
    "model.round_kimg=0.16",
    "model.judge_share=0.4",
]  # ten batches, four of the judge


def test_the_weights_of_a_hand_made_example():
    """Two modes, of which the mixture has one: lambda - h/2 = 3/2 and 0 of four examples each, mean 1 over beta 1/2."""
    assert example_weights(torch.tensor([0.0, 2.0, 0.0, 2.0]), 0.5).tolist() == pytest.approx([2, 0, 2, 0])
    assert example_weights(torch.tensor([1.0, 1.0, 1.0]), 0.25).tolist() == pytest.approx([1, 1, 1])
    # lambda: (lambda - h_i / 2)+ sums to 3/2 for h = 0, 1, 5: lambda + lambda - 1/2 = 3/2
    assert example_weights(torch.tensor([5.0, 0.0, 1.0]), 0.5).tolist() == pytest.approx([0, 2, 1])


@pytest.mark.parametrize("beta", [0.2, 0.5, 1.0])
def test_the_weights_are_those_of_a_search_for_lambda(beta):
    h = torch.rand(50, dtype=torch.float64) * 4
    low, high = 0.0, 10.0
    for _ in range(100):
        middle = (low + high) / 2
        is_low = (middle - (1 - beta) * h).clamp_min(0).mean() < beta
        low, high = (middle, high) if is_low else (low, middle)
    expected = (low - (1 - beta) * h).clamp_min(0) / beta
    assert example_weights(h, beta).tolist() == pytest.approx(expected.tolist(), abs=1e-9)
    assert example_weights(h, beta).mean().item() == pytest.approx(1)


def test_examples_that_the_mixture_makes_are_not_drawn():
    scores = torch.tensor([4.0, -1.0] * 500)  # log of data to mixture
    drawn = draw_by_weight({"x": torch.arange(1000), "y": 2 * torch.arange(1000)}, scores, 0.5)
    assert drawn["x"].shape == (1000,)
    assert (drawn["x"] % 2 == 0).all()
    assert torch.equal(drawn["y"], 2 * drawn["x"])
    assert len(drawn["x"].unique()) > 250


def test_one_component_is_gan_bit_for_bit():
    gan = train(job_of(*RING, "model=gan", "model.z_dim=5"), 5).model
    one = train(job_of(*ADAGAN, "model.components=1"), 5).model
    assert_same_weights(one.generator[0], gan.generator)
    assert_same_weights(one.discriminator, gan.discriminator)


def snapshot(model):
    nets = [*model.generator, model.discriminator, model.judge]
    return [torch.cat([w.detach().flatten() for w in net.parameters()]).clone() for net in nets]


def test_each_round_trains_the_judge_and_then_its_component_alone():
    job = job_of(*THREE)
    model, turns = job.model, []
    states = [snapshot(model)]
    train_on_batch = model._train_on_batch

    def watched(batch):
        train_on_batch(batch)
        states.append(snapshot(model))
        turns.append([not torch.equal(a, b) for a, b in zip(states[-2], states[-1], strict=True)])

    model._train_on_batch = watched
    train(job, 32)
    component = [[i == t for i in range(3)] + [True, False] for t in range(3)]
    judge = [False, False, False, False, True]
    last = [component[0], [False, True, False, True, True]]  # discriminator and judge start anew
    rounds = [
        [component[0]] * 9,
        [last[0]],
        [judge] * 4,
        [component[1]] * 5,
        [last[1]],
        [judge] * 4,
        [component[2]] * 8,
    ]
    assert turns == [turn for batches in rounds for turn in batches]
    first = torch.cat([w.flatten() for w in model.first.parameters()])
    assert all(torch.equal(state, first) for number in (10, 20) for state in states[number][3:])
    assert model.steps_taken == {"judge": 8, "discriminator": 24, "generator": 24}


def test_the_judge_has_the_loss_of_real_examples_against_samples_of_the_mixture():
    job = job_of(*THREE, "trainer.precision=64-true")
    model, batch = train(job, 11).model, {"x": job.data.batch(3)["x"].double()}
    torch.manual_seed(4)
    terms = model.judge_loss(batch)
    torch.manual_seed(4)
    fake = model.generator[0](torch.randn(16, 5, dtype=torch.float64))
    expected = -logsigmoid(model.judge(batch["x"])).mean() - logsigmoid(-model.judge(fake)).mean()
    assert terms["loss"].item() == pytest.approx(expected.item(), abs=1e-12)


def test_samples_are_those_of_all_components_whose_rounds_are_over():
    model = train(job_of(*THREE), 1).model
    for number, net in enumerate(model.generator):
        torch.nn.init.zeros_(net.layers[-2].weight)
        torch.nn.init.constant_(net.layers[-2].bias, number)
    for images, shares in (
        (16, [1]),
        (159, [1]),
        (160, [1]),
        (320, [0.5, 0.5]),
        (481, [1 / 3] * 3),
        (9999, [1 / 3] * 3),
    ):
        model.images_seen = images
        found = model.sample(3000, generator=torch.Generator().manual_seed(1))[:, 0]
        counts = [(found == number).sum().item() / 3000 for number in range(len(shares))]
        assert counts == pytest.approx(shares, abs=0.03)


@pytest.mark.parametrize("data", [RING, ["network=dcgan", "network.width=4", *SMALL_DIGITS]], ids=["ring", "digits"])
def test_the_command_trains_through_all_rounds_and_samples(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["model.components=2", "model.round_kimg=0.032", "kimg=0.064", "metrics=none", "logger=none", "folder=run"]
    assert main(["train", *data, "model=adagan", *args, "regularizer=[r1]", "ema.half_life_kimg=0.1"]) == 0
    assert main(["sample", "run", "n=3"]) == 0


@pytest.mark.parametrize("kimg", [0.04, 0.096, 0.06])
def test_a_killed_training_resumes_exactly_within_and_between_rounds(kimg, tmp_path, monkeypatch):
    """Checkpoints after 10 batches; rounds of 5, 12 and 7.5."""
    monkeypatch.chdir(tmp_path)
    assert_resumes_exactly(tmp_path, *ADAGAN, "model.components=3", f"model.round_kimg={kimg}")
