"""What augmentation does to the losses, and how its share adapts."""

import copy

import pytest
import torch
from helpers.model_training import job_of, train
from torch.nn.functional import softplus

from ganrun.cli.main import main
from ganrun.models.augmentation import AdaptiveDiffAugment
from ganrun.networks.augmentation import Augmentation
from ganrun.seeds import seed_training_noise

SMALL = ["data=digits", "network.width=4", "batch_size=8"]
CPU = torch.device("cpu")


def test_both_players_see_augmented_images_alone():
    """The losses of both turns against the paper's equations, with the same random numbers."""
    job = job_of("model=dcgan", *SMALL, "regularizer=[diffaugment]")
    model, batch = job.model, job.data.batch(0)
    plain, t = copy.deepcopy(model.discriminator), Augmentation(["colour", "translation", "cutout"])
    plain._forward_pre_hooks.clear()
    seed_training_noise(CPU, 0, 0, 0)
    found = [model.discriminator_loss(batch)["loss"].item(), model.generator_loss(batch).item()]
    seed_training_noise(CPU, 0, 0, 0)
    real_scores = plain(t(batch["x"]))
    fake_scores = plain(t(model.fake_like(batch)))
    expected = [(softplus(-real_scores).mean() + softplus(fake_scores).mean()).item()]
    expected.append(softplus(-plain(t(model.fake_like(batch)))).mean().item())
    assert found == pytest.approx(expected)


def test_generators_are_not_augmented():
    model = train(job_of("model=dcgan", *SMALL, "regularizer=[diffaugment]"), 2).model
    assert not model.generator._forward_pre_hooks
    once, twice = (model.sample(4, generator=torch.Generator().manual_seed(0)) for _ in range(2))
    assert torch.equal(once, twice)


def adaptive(kimg=1.0):
    regularizer, network = AdaptiveDiffAugment(["cutout"], 0.6, kimg), torch.nn.Linear(2, 1)
    regularizer.prepare(network)
    return regularizer, network, network.augmentation.share


def test_the_share_grows_while_real_scores_are_positive_and_shrinks_else():
    regularizer, network, share = adaptive()
    for _ in range(3):
        terms = regularizer.observe(network, {"real": torch.ones(100), "fake": -torch.ones(100)})
    assert share.item() == pytest.approx(0.3)
    assert terms["augmented"].item() == pytest.approx(0.3)
    regularizer.observe(network, {"real": torch.tensor([1.0] * 70 + [-1.0] * 30)})  # r = 0.4
    assert share.item() == pytest.approx(0.2)


def test_the_share_stays_from_0_to_1():
    regularizer, network, share = adaptive(kimg=0.1)
    regularizer.observe(network, {"real": -torch.ones(300)})
    assert share.item() == 0
    regularizer.observe(network, {"real": torch.ones(300)})
    assert share.item() == 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "model"), [("diffaugment", "dcgan"), ("ada", "dcgan"), ("ada", "cgan")])
def test_the_command_trains_on_few_images_and_resumes(name, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = [f"model={model}", *SMALL, f"regularizer=[{name},r1]", "data.limit=24", "logger=none", "metrics=none"]
    settings += ["checkpoint.kimg=0.032", *(["regularizer.ada.kimg=0.1"] if name == "ada" else [])]
    assert main(["train", *settings, "kimg=0.064", "folder=once"]) == 0
    assert main(["train", *settings, "kimg=0.032", "folder=twice"]) == 0
    assert main(["resume", "twice", "kimg=0.064"]) == 0
    once, twice = (torch.load(f"{run}/checkpoints/kimg000000.064.ckpt")["state_dict"] for run in ("once", "twice"))
    assert all(torch.equal(once[key], twice[key]) for key in once)
    assert "discriminator.augmentation.share" in once


def examples(data, batches):
    """{an image's bytes: its label} of the first batches."""
    pairs = (zip(batch["x"], batch["y"], strict=True) for batch in map(data.batch, range(batches)))
    return {x.numpy().tobytes(): int(y) for pair in pairs for x, y in pair}


def test_a_limit_keeps_a_fixed_subset_with_its_labels_and_all_of_the_reference():
    cgan = ["model=cgan", *SMALL]
    whole, part, other = (job_of(*cgan, *more).data for more in ([], ["data.limit=24"], ["data.limit=24", "seed=5"]))
    found = examples(part, 6)
    assert len(found) == part.train_count == 24
    assert found == examples(other, 6)
    assert found.items() < examples(whole, 9000 // 8).items()
    assert part.reference_count() == whole.reference_count() == 10_000


def test_scores_that_say_nothing_of_overfitting_cannot_steer_the_share(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=began", "data=digits", "network.width=4", "regularizer=[ada]"]) == 2
    assert "regularizer=ada needs scores" in capsys.readouterr().err
