"""Which player takes a step when, on which batch, with which gradient and learning rate, in real trainings."""

import pytest
import pytorch_lightning as pl
import torch
from helpers.model_training import SMALL, job_of, train

from ganrun.seeds import seed_training_noise

RING = [
    "data=ring",
    "data.points=600",
    "batch_size=16",
    "network.generator.hidden=[8]",
    "network.discriminator.hidden=[8]",
]


class Turns(pl.Callback):
    """Calls `see(model, player)` after each turn."""

    def __init__(self, see):
        self.see = see

    def on_fit_start(self, trainer, model):
        after_turn = model.after_turn

        def watched(player):
            after_turn(player)
            self.see(model, player)

        model.after_turn = watched


def test_a_model_can_be_trained_again():
    job = train(job_of(*SMALL["dcgan"]), 2)
    assert all(w.requires_grad for w in job.model.parameters())
    before = weights(job.model.children())
    train(job, 4)
    assert job.model.batches_seen == 4
    assert not any(same(before, weights(job.model.children())))


def weights(nets):
    return [w.detach().clone() for net in nets for w in net.parameters()]


def same(first, second):
    return [torch.equal(a, b) for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("model", SMALL)
def test_a_turn_changes_only_the_players_own_weights_and_gives_the_others_no_gradient(model):
    job = job_of(*SMALL[model])
    before = {}
    turns = []

    def see(model, mover):
        for player in model.players():
            nets, is_mover = player.nets, player.name == mover.name
            moved = [not kept for kept in same(before[player.name], weights(nets))]
            graded = [w.grad is not None for net in nets for w in net.parameters()]
            assert any(moved) == is_mover
            assert all(graded) == any(graded) == is_mover
            before[player.name] = weights(nets)
        model.zero_grad()
        turns.append(mover.name)

    before |= {player.name: weights(player.nets) for player in job.model.players()}
    train(job, 6, Turns(see))
    assert set(turns) == set(before)


@pytest.mark.parametrize(("overrides", "every"), [(["model=gan", "model.d_steps=3"], 3), (["model=wgan"], 5)])
def test_the_discriminator_sees_each_batch_once_and_the_generator_moves_after_every_kth(overrides, every):
    job = job_of(*overrides, *RING)
    turns, seen = [], []
    loss = job.model.discriminator_loss

    def discriminator_loss(batch):
        seen.append(batch["x"].clone())
        return loss(batch)

    job.model.discriminator_loss = discriminator_loss
    train(job, 2 * every + 1, Turns(lambda model, player: turns.append((model.batches_seen, player.name))))
    expected = []
    for k in range(2 * every + 1):
        expected.append((k, "discriminator"))
        expected += [(k, "generator")] if k % every == every - 1 else []
    assert turns == expected
    assert all(torch.equal(x, job.data.batch(k)["x"]) for k, x in enumerate(seen))
    assert not any(torch.equal(x, y) for i, x in enumerate(seen) for y in seen[:i])


def test_the_critic_of_wgan_is_clamped_after_each_of_its_turns():
    job = job_of("model=wgan", *RING, "model.c=0.005", "optimizer.lr=0.01")
    largest = []

    def see(model, player):
        largest.append(max(float(w.abs().max()) for w in weights([model.discriminator])))

    train(job, 5, Turns(see))
    assert len(largest) == 6
    assert all(value == pytest.approx(0.005) for value in largest)


def test_the_two_generator_losses_have_different_gradients():
    first, other = (train(job_of("model=gan", *RING, f"loss={name}"), 3) for name in ("minimax", "logistic"))
    assert not all(same(weights([first.model.generator]), weights([other.model.generator])))


def lengths_of_steps(clip):
    """Return the length of each step of gradient descent with learning rate 1: the norm of the gradient."""
    job = job_of("model=gan", *RING, "optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", f"clip={clip}")
    before = {player.name: weights(player.nets) for player in job.model.players()}
    lengths = []

    def see(model, player):
        after = weights(player.nets)
        steps = [(a - b).flatten() for a, b in zip(after, before[player.name], strict=True)]
        lengths.append(float(torch.cat(steps).norm()))
        before[player.name] = after

    train(job, 3, Turns(see))
    return lengths


def test_gradients_are_clipped_to_the_norm_of_clip_and_smaller_ones_are_not_changed():
    free = lengths_of_steps("null")
    assert all(length > 1e-3 for length in free)
    assert lengths_of_steps(1e-3) == pytest.approx([1e-3] * 6, rel=1e-3)
    assert lengths_of_steps(1e3) == free


def test_learning_rates_follow_the_schedule():
    job = job_of("model=gan", *RING, "schedule=linear_decay", "optimizer.lr=0.01")
    rates = []

    def see(model, player):
        rates.append([group["lr"] for optimizer in model.optimizers() for group in optimizer.param_groups])

    train(job, 10, Turns(see))
    expected = [0.01 * min(1, 2 - 2 * k / 10) for k in range(10) for _ in range(2)]
    assert [first for first, _ in rates] == pytest.approx(expected)
    assert all(first == second for first, second in rates)


def test_without_a_schedule_learning_rates_are_constant():
    job = job_of("model=gan", *RING, "optimizer.lr=0.01")
    rates = set()
    train(job, 4, Turns(lambda model, player: rates.update(o.param_groups[0]["lr"] for o in model.optimizers())))
    assert rates == {0.01}


def test_the_same_seed_gives_the_same_weights_and_another_seed_others():
    first, again, other = (train(job_of(*SMALL["dcgan"], f"seed={seed}"), 4).model for seed in (1, 1, 2))
    assert all(same(first.state_dict().values(), again.state_dict().values()))
    matrices = [w for w in weights([first]) if w.ndim > 1], [w for w in weights([other]) if w.ndim > 1]
    assert not any(same(*matrices))


def test_the_noise_of_a_batch_is_a_function_of_seed_rank_and_batch():
    job = job_of("model=gan", *RING, "seed=7", "model.z_dim=3")
    latents = []
    noise = job.model.noise

    def recorded(n, generator=None):
        latents.append(noise(n, generator))
        return latents[-1]

    job.model.noise = recorded
    train(job, 5)
    for k in range(5):
        seed_training_noise(torch.device("cpu"), 7, 0, k)
        assert torch.equal(latents[2 * k], torch.randn(16, 3))
        assert torch.equal(latents[2 * k + 1], torch.randn(16, 3))


def test_random_numbers_used_between_batches_do_not_matter():
    class Drawing(pl.Callback):
        def on_train_batch_end(self, trainer, model, *args):
            torch.rand(5)
            model.sample(4)

    plain, disturbed = (train(job_of("model=gan", *RING), 4, *callbacks).model for callbacks in ([], [Drawing()]))
    assert all(same(weights([plain]), weights([disturbed])))


def test_batches_and_images_are_counted():
    model = train(job_of("model=wgan", *RING), 7).model
    assert (model.batches_seen, model.images_seen, model.progress) == (7, 7 * 16, 1.0)
