"""Regularizers against closed forms, and in trainings: laziness, parts of a batch, bfloat16, resuming."""

import copy

import pytest
import torch
from helpers.model_training import RING, SMALL, SMALL_DIGITS, Stop, job_of, train
from helpers.recorder import Recorder
from torch import nn

from ganrun.models import regularizers
from ganrun.models.gan import GAN
from ganrun.models.player import Player
from ganrun.models.regularizers import Regularizer, Regularizers
from ganrun.models.steps.graph_replay import GraphedSteps

ALL = ["gradient_penalty", "dragan", "r1", "r2", "weight_clamp", "spectral_norm"]
PENALTIES = ALL[:4]
MLP = ["network=mlp", "network.generator.hidden=[8]", "network.discriminator.hidden=[8]", *SMALL_DIGITS]


def draw(sample, n):
    return sample(n)


@pytest.fixture
def examples(fixed_seed):
    return torch.randn(16, 3, dtype=torch.float64), torch.randn(16, 3, dtype=torch.float64)


def linear_critic(*w):
    w = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    return w, lambda x: x @ w


@pytest.mark.parametrize("make", [regularizers.GradientPenalty, lambda weight: regularizers.Dragan(weight, 0.5)])
def test_the_penalty_of_a_linear_critic_is_the_squared_distance_of_its_slope_from_one(make, examples):
    w, critic = linear_critic(2.0, -1.0, 2.0)  # |w| = 3
    penalty = make(10.0).penalty(critic, *examples, draw)
    assert penalty.item() == pytest.approx(10 * (3 - 1) ** 2)
    penalty.backward()
    assert torch.allclose(w.grad, 10 * 2 * (3 - 1) * w.detach() / 3)


def test_the_one_sided_penalty_is_free_for_slopes_below_one(examples):
    penalty = regularizers.GradientPenalty(10.0, one_sided=True)
    assert penalty.penalty(linear_critic(0.3, 0.0, 0.4)[1], *examples, draw).item() == 0
    assert penalty.penalty(linear_critic(3.0, 0.0, 4.0)[1], *examples, draw).item() == pytest.approx(10 * 16)


def quadratic(matrix):
    return lambda x: 0.5 * ((x @ matrix) * x).sum(1)


def test_r1_and_r2_of_a_quadratic_are_its_mean_squared_gradients(examples):
    """D(x) = x^T A x / 2 with symmetric A has the gradient A x."""
    a = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 1.0]], dtype=torch.float64)
    for kind, x in zip((regularizers.R1, regularizers.R2), examples, strict=True):
        expected = sum(float((a @ each).square().sum()) for each in x) / len(x) * 0.2 / 2
        assert kind(0.2).penalty(quadratic(a), *examples, draw).item() == pytest.approx(expected)


def test_the_gradient_penalty_is_taken_between_the_pairs(examples):
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.square().sum(1)

    regularizers.GradientPenalty(1.0).penalty(critic, *examples, draw)
    real, fake = examples
    shares = (seen[0] - fake) / (real - fake)
    assert torch.allclose(shares, shares[:, :1].expand_as(shares))
    assert 0 <= shares.min() < 0.4 < 0.6 < shares.max() <= 1


def test_the_noise_of_dragan_has_its_deviation_in_units_of_the_batchs():
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.sum(1)

    real = 3 * torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    regularizers.Dragan(1.0, 0.5).penalty(critic, real, real, draw)
    assert float((seen[0] - real).std()) == pytest.approx(1.5, rel=0.03)


def test_consistency_compares_each_image_with_its_shifted_and_mirrored_copy():
    """A critic that sums the image cannot tell shifts of a constant one; a linear one is compared by a slow loop."""
    images = torch.randn(40, 2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(2, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    drawn = []

    def recorded(sample, n):
        drawn.append(sample(n))
        return drawn[-1]

    found = regularizers.Consistency(10.0, 2).penalty(lambda x: (x * weight).sum((1, 2, 3)), images, images, recorded)
    shifts, flips = drawn
    expected = 0.0
    for x, (down, right), flip in zip(images, shifts.tolist(), flips.tolist(), strict=True):
        moved = torch.zeros_like(x)
        for row in range(6):
            for column in range(5):
                source = 4 - column if flip[0] else column
                moved[:, row, column] = x[:, mirror(row + down - 2, 6), mirror(source + right - 2, 5)]
        expected += float(((x - moved) * weight).sum()) ** 2 / len(images)
    assert found.item() == pytest.approx(10 * expected)
    assert {*shifts.flatten().tolist()} == {0, 1, 2, 3, 4}
    assert 5 < flips.sum() < 35
    flat = torch.ones(3, 1, 8, 8)
    assert regularizers.Consistency(10.0, 4).penalty(lambda x: x.mean((1, 2, 3)), flat, flat, draw).item() == 0


def mirror(index, size):
    return -index if index < 0 else 2 * (size - 1) - index if index >= size else index


def test_consistency_trains_a_discriminator_of_images():
    model = train(regularized("consistency", data=MLP), 3).model
    assert float(model.terms["discriminator"]["consistency"]) > 0


def test_weights_are_clamped_after_the_step():
    network = nn.Linear(3, 1)
    network.weight.data = torch.tensor([[0.5, -0.5, 0.001]])
    regularizers.WeightClamp(0.01).after_step(network)
    assert torch.equal(network.weight.detach(), torch.tensor([[0.01, -0.01, 0.001]]))


def test_each_is_named_by_its_key_or_its_class():
    network, r1 = nn.Linear(2, 1), regularizers.R1(1.0)
    assert [*Regularizers([r1], network).by_name] == ["R1"]
    assert [*Regularizers({"mine": r1}, network).by_name] == ["mine"]


# In trainings


def regularized(*names, model="gan", data=RING, more=()):
    settings = ["regularizer.weight_clamp.c=0.05"] if "weight_clamp" in names else []
    return job_of(*data, f"model={model}", f"regularizer=[{','.join(names)}]", *settings, *more)


def tensors(model):
    return {name: value for name, value in model.state_dict().items() if torch.is_tensor(value)}


def same(first, second):
    first, second = tensors(first), tensors(second)
    return first.keys() == second.keys() and all(torch.equal(value, second[name]) for name, value in first.items())


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("model", ["gan", "cgan"])
def test_each_changes_the_training_of_any_discriminator(name, model):
    data = RING if model == "gan" else [*SMALL["cgan"], "network=cgan_mlp"]
    data = [override for override in data if not override.startswith(("network.width", "model="))]
    found, plain = (train(regularized(*names, model=model, data=data), 3).model for names in ([name], []))
    assert not same(found, plain)
    assert all(w.isfinite().all() for w in tensors(found).values() if w.is_floating_point())
    assert (name in found.terms["discriminator"]) == (name in PENALTIES)


def test_the_order_of_the_command_is_that_of_the_model():
    job = regularized("r2", "gradient_penalty", "r1")
    assert [*job.model.regularizers.by_name] == ["r2", "gradient_penalty", "r1"]


def test_the_loss_holds_the_penalties():
    terms = train(regularized("r1", "gradient_penalty"), 1).model.terms["discriminator"]
    plain = torch.nn.functional.softplus(-terms["real"]).mean() + torch.nn.functional.softplus(terms["fake"]).mean()
    assert torch.allclose(terms["loss"], plain + terms["r1"] + terms["gradient_penalty"])


def test_a_lazy_penalty_joins_every_nth_step_n_times_as_strong():
    seen = []
    job = regularized("r1", more=["regularizer.r1.every=3", "optimizer.lr=1e-9"])
    always = regularized("r1", more=["optimizer.lr=1e-9"])
    for experiment in (job, always):
        terms = []
        seen.append(terms)

        def players(model=experiment.model, own=experiment.model.players, terms=terms):
            d, g = own()
            loss = d.loss

            def watched(batch):
                found = loss(batch)
                terms.append(found.get("r1"))
                return found

            d.loss = watched
            return [d, g]

        experiment.model.players = players
        train(experiment, 7)
    lazy, full = ([None if value is None else value.item() for value in terms] for terms in seen)
    assert [value is not None for value in lazy] == [False, False, True, False, False, True, False]
    assert lazy[2] == pytest.approx(3 * full[2], rel=1e-4)
    assert lazy[5] == pytest.approx(3 * full[5], rel=1e-4)


def test_replayed_steps_have_a_lazy_penalty_when_it_is_due():
    class Replaying(Stop):
        def on_train_start(self, trainer, model):
            model.graphed_steps = self.steps = GraphedSteps(model, Recorder())

    def job():
        return regularized("r1", "gradient_penalty", more=["regularizer.r1.every=4", "schedule=constant"])

    replaying = Replaying(1000)
    assert same(train(job(), 60, replaying).model, train(job(), 60).model)
    forms = {form for name, form in replaying.steps.captured if name == "discriminator"}
    assert forms == {("gradient_penalty",), ("r1", "gradient_penalty")}


@pytest.mark.parametrize("name", ALL)
def test_a_resumed_training_ends_at_the_same_weights(name, tmp_path):
    more = [f"regularizer.{name}.every=3"] if name in PENALTIES else []
    whole = train(regularized(name, more=more), 8).model
    train(regularized(name, more=more), 8, Stop(4)).model.trainer.save_checkpoint(tmp_path / "a.ckpt")
    rest = regularized(name, more=more)
    rest.data.start_batch = 4
    assert same(train(rest, 8, ckpt_path=tmp_path / "a.ckpt").model, whole)


@pytest.mark.parametrize("name", ["gradient_penalty", "r1", "r2", "weight_clamp"])
def test_two_parts_end_at_the_weights_of_the_joined_batch(name):
    """Not with spectral_norm, whose power method moves with each part, and dragan, which takes a part's deviation."""
    batches = ["batch_size=16"], ["batch_size=8", "accumulate=2"]
    exact = ["trainer.precision=64-true"]
    joined, parts = (train(regularized(name, more=[*exact, *batch]), 4).model for batch in batches)
    pairs = [(value, tensors(parts)[key]) for key, value in tensors(joined).items()]
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-9


@pytest.mark.parametrize("name", ["spectral_norm", "dragan"])
def test_parts_of_a_batch_are_possible_with_each(name):
    assert train(regularized(name, more=["batch_size=8", "accumulate=2"]), 3).model.batches_seen == 3


@pytest.mark.parametrize("name", PENALTIES)
@pytest.mark.parametrize("network", ["mlp", "dcgan"])
def test_a_penalty_in_bfloat16_is_that_of_float32(name, network):
    """The first batch: later ones have other weights. Only the fakes are of a generator in bfloat16."""
    small = MLP if network == "mlp" else [*SMALL_DIGITS, "network=dcgan", "network.width=4"]
    norm = ["network.discriminator.batch_norm=false"] if network == "dcgan" else []
    exact, rounded = (
        train(regularized(name, data=small, more=[*norm, f"trainer.precision={precision}"]), 1).model
        for precision in ("32-true", "bf16-mixed")
    )
    exact_terms, terms = exact.terms["discriminator"], rounded.terms["discriminator"]
    assert terms["fake"].dtype == torch.bfloat16
    assert terms[name].dtype == terms["loss"].dtype == torch.float32
    torch.testing.assert_close(terms[name], exact_terms[name], rtol=5e-3, atol=1e-7)
    gradients = [w.grad for w in rounded.discriminator.parameters()]
    assert all(gradient.dtype == torch.float32 and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "16-mixed"])
@pytest.mark.parametrize("name", ALL)
def test_each_trains_at_every_precision(name, precision):
    model = train(regularized(name, more=[f"trainer.precision={precision}"]), 2).model
    assert all(w.isfinite().all() for w in model.parameters())


def test_spectral_norm_is_right_in_a_training_in_bfloat16():
    more = ["trainer.precision=bf16-mixed", "init=normal", "optimizer.lr=0.001"]
    model = train(regularized("spectral_norm", data=MLP, more=more), 30).model.eval()
    layers = [layer for layer in model.discriminator.modules() if isinstance(layer, nn.Linear)]
    assert len(layers) == 2
    for layer in layers:
        assert layer.weight.dtype == torch.float32
        assert float(torch.linalg.svdvals(layer.weight.detach())[0]) == pytest.approx(1, rel=0.02)


def test_the_average_of_a_spectrally_normalized_generator_is_normalized():
    class Both(GAN):
        def __init__(self, generator, discriminator, *args, **kwargs):
            regularizers.SpectralNorm().prepare(generator)
            super().__init__(generator, discriminator, *args, **kwargs)

    job = job_of(*MLP, "model=gan")
    old = job.model
    job.model = Both(
        old.generator, old.discriminator, old.z_dim, optimizers=old.make_optimizer, average=regularized_average()
    )
    train(job, 40)
    averaged = job.model.averaged["generator"]
    for layer in (layer for layer in averaged.modules() if isinstance(layer, nn.Linear)):
        assert float(torch.linalg.svdvals(layer.weight.detach())[0]) == pytest.approx(1, rel=0.05)
    live = [w.data_ptr() for w in job.model.generator.parameters()]
    assert not any(w.data_ptr() in live for w in averaged.parameters())


def regularized_average():
    from ganrun.models.ema import ExponentialMovingAverage

    return ExponentialMovingAverage(half_life_kimg=0.03)


# A user's own


class Shrinking(Regularizer):
    """A penalty on the scores, and a network that shrinks."""

    def penalty(self, score, real, fake, draw):
        return score(real).square().mean() + score(fake).square().mean()

    def after_step(self, network):
        with torch.no_grad():
            for w in network.parameters():
                w.mul_(0.99)


class OwnLoss(GAN):
    """Overrides the loss and keeps no fakes, as classes written for version 0.1 do."""

    def discriminator_loss(self, batch):
        return self.score(self.fake_like(batch), batch).mean() - self.score(batch["x"], batch).mean()


def test_a_loss_of_ones_own_is_regularized_too():
    job = job_of(*RING)
    old = job.model
    job.model = OwnLoss(
        old.generator, old.discriminator, old.z_dim, regularizers=[Shrinking()], optimizers=old.make_optimizer
    )
    before = copy.deepcopy(old.discriminator)
    train(job, 20)
    assert job.model.terms["discriminator"].keys() == {"loss", "Shrinking"}
    assert norm(job.model.discriminator) < 0.9 * norm(before)


def norm(network):
    return float(torch.cat([w.detach().flatten() for w in network.parameters()]).norm())


def test_second_derivatives_are_those_of_float32_under_autocast(monkeypatch, fixed_seed):
    """Backpropagating a penalty under autocast would round them to bfloat16, if only its own code is outside."""
    model = job_of("model=wgan_gp", *SMALL_DIGITS, *MLP).model
    model.regularizers = Regularizers([regularizers.R1(1.0)], model.discriminator)
    monkeypatch.setattr(model, "manual_backward", lambda loss: loss.backward())
    x = torch.randn(4, 1, 28, 28)

    def loss(batch):
        return model.regularizers.penalties(["R1"], model.discriminator, batch["x"], batch["x"], draw)["R1"]

    def gradient(is_on):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=is_on):
            model.backward_loss(Player("discriminator", [model.discriminator], loss), {"x": x})
        return torch.cat([w.grad.flatten() for w in model.discriminator.parameters() if w.grad is not None])

    expected = gradient(is_on=False)
    assert expected.abs().sum() > 0
    assert torch.equal(gradient(is_on=True), expected)
