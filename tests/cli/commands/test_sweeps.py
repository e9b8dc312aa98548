"""Effects of settings on a run, a user's own classes, sweeps, and runs that fail or are interrupted."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from helpers.runs import QUIET, RING, lines, load_checkpoint, status
from omegaconf import OmegaConf

from ganrun import seeds
from ganrun.files import conf_dir
from ganrun.models.base import Adversarial

DIGITS = ["data=digits", "network.width=4", "batch_size=4", "logger=none"]
OFTEN = ["metrics.samples=4", "metrics.reference=200", "validate_kimg=0.004", "pictures_kimg=0.004", "log_every=1"]


def weights(run, prefix=""):
    """The weights of the last checkpoint whose names begin with `prefix`, by the rest of their names."""
    state = load_checkpoint(run)["state_dict"]
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def has_same_weights(a, b, prefix=""):
    """Whether two runs have the same weights, bit for bit."""
    a, b = weights(a, prefix), weights(b, prefix)
    assert a.keys() == b.keys() != set()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_weights_depend_on_the_seed_but_not_on_scores_samples_and_curves(train):
    args = ["model=dcgan", *DIGITS, "kimg=0.016"]
    first = train(*args, "metrics=none", "seed=1", folder="first")
    assert has_same_weights(first, train(*args, *OFTEN, "seed=1", folder="again"))
    other = train(*args, "metrics=none", "seed=2", folder="other")
    name, *_ = weights(first, "generator.")
    difference = weights(first, "generator.")[name] - weights(other, "generator.")[name]
    expected = 0.02 * 2 / torch.pi**0.5  # mean distance of two values from N(0, 0.02)
    assert difference.abs().mean() == pytest.approx(expected, rel=0.1)


LENGTHS = [(0.008, 4, 2), (0.01, 4, 3), (0.001, 4, 1), (2.007, 223, 9)]  # 1000 * 2.007 > 2007 in floats


@pytest.mark.parametrize(("kimg", "size", "batches"), LENGTHS)
def test_training_ends_with_the_first_batch_that_reaches_kimg(train, kimg, size, batches):
    run = train(*RING, f"kimg={kimg}", f"batch_size={size}")
    players, images = ("discriminator", "generator"), batches * size
    each = {"steps": dict.fromkeys(players, batches), "images_at_step": dict.fromkeys(players, images)}
    assert load_checkpoint(run)["seen"] == {"batches": batches, "images": images, "progress": 1.0, **each}
    assert status(run)["kimg"] == batches * size / 1000


def test_minutes_end_a_run_before_kimg(train):
    run = train(*RING, "kimg=1e6", "minutes=0.01")
    assert 0.6 <= status(run)["seconds"] < 5
    assert load_checkpoint(run)["seen"]["progress"] == 1
    assert 0 < status(run)["kimg"] < 1000


def test_linear_decay_follows_the_progress_of_the_run(train):
    last = load_checkpoint(train(*RING, "schedule=linear_decay", "schedule.start=0.25", "optimizer.lr=8e-4"))
    for optimizer in last["optimizer_states"]:  # before the last of eight batches
        assert optimizer["param_groups"][0]["lr"] == pytest.approx(8e-4 * (1 - 7 / 8) / (1 - 1 / 4))


def test_ema_weights_are_stored_beside_the_trained_ones(train):
    plain, run = train(*RING, folder="plain"), train(*RING, "ema.half_life_kimg=0.01")
    assert has_same_weights(plain, run, "generator.")
    live, mean = weights(run, "generator."), weights(run, "averaged.generator.")
    assert live.keys() == mean.keys()
    assert not any(torch.equal(live[name], mean[name]) for name in live)
    assert weights(plain, "averaged.") == {}


def test_an_override_chooses_the_loss_of_the_generator(train):
    args = [*RING, "kimg=0.004", "log_every=1"]
    a, b = (train(*args, f"loss={name}", folder=name) for name in ("minimax", "logistic"))
    assert has_same_weights(a, b, "discriminator.")  # it is updated first
    assert not has_same_weights(a, b, "generator.")
    minimax, non_saturating = (lines(run, "kimg")[0]["train/generator/loss"] for run in (a, b))
    assert minimax < 0 < non_saturating


CURVES = ["discriminator/real", "discriminator/fake"]
SIDES = [f"discriminators/{kind}_{side}" for side in "ab" for kind in ("real", "fake")]
TRANSLATION = ["data=unpaired_digits", "data.size=32", "network.blocks=1", "network.width=2"]
MODELS = {  # {model: (data, curves of the discriminator's mean scores)}
    "gan": (["data=ring"], CURVES),
    "dcgan": (DIGITS, CURVES),
    "wgan": (["data=ring"], CURVES),
    "cgan": (DIGITS, CURVES),
    **dict.fromkeys(("lsgan", "wgan_gp", "sngan", "dragan", "r3gan"), (["data=ring"], CURVES)),
    "cyclegan": (TRANSLATION, SIDES),
}


@pytest.mark.parametrize("model", MODELS)
def test_each_discriminator_logs_its_mean_scores(train, model):
    args, curves = MODELS[model]
    run = train(f"model={model}", *args, "batch_size=4", "kimg=0.004", *QUIET)
    (line, *_) = lines(run, "kimg")
    scores = [line[f"train/{curve}"] for curve in curves]
    assert len({0.0, *scores}) == 1 + len(curves)
    if model == "wgan":
        assert line["train/discriminator/distance"] == pytest.approx(scores[0] - scores[1])
        assert max(w.abs().max() for w in weights(run, "discriminator.").values()) == pytest.approx(0.01)


OWN = """\
from torch import nn
from ganrun.data.gaussians import Ring
from ganrun.models.gan import GAN

class Triangle(Ring): name = "triangle"
class Line(nn.Linear): pass
class MyGAN(GAN):
    def generator_loss(self, batch): return 0 * super().generator_loss(batch) + 7
"""
LINE = "{_target_: own_classes.Line, in_features: %s, out_features: %d}"
GAN = (conf_dir() / "model" / "gan.yaml").read_text()
CONFIGS = {
    "model/mygan": GAN.replace("ganrun.models.gan.GAN", "own_classes.MyGAN"),
    "network/line": f"generator: {LINE % ('100', 2)}\ndiscriminator: {LINE % ('2', 1)}\n",
    "data/triangle": "defaults: [ring, _self_]\nmodes: 3\nsource: {_target_: own_classes.Triangle}\n",
}


def test_a_users_own_model_network_and_data_work_in_train_sample_and_eval(cli, train, capsys):
    (cli.folder / "own_classes.py").write_text(OWN)
    for name, text in CONFIGS.items():
        path = cli.folder / "mine" / f"{name}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(text)
    args = ["--config-dir", "mine", "model=mygan", "network=line", "data=triangle", "kimg=0.1", "logger=none"]
    run = train(*args)
    (line,) = lines(run, "train/generator/loss")
    assert line["train/generator/loss"] == 7
    assert lines(run, "protocol")[0]["protocol"]["modes"] == 3
    assert cli.run("sample", "run", "n=3", "as=npz", "out=samples") == 2
    assert "own_classes" in (message := capsys.readouterr().err)
    assert "ganrun sample run n=3 as=npz out=samples trust=true" in message
    assert cli.run("sample", "run", "n=3", "as=npz", "out=samples", "trust=true") == 0
    own = weights(run, "generator.")
    with np.load("samples/samples.npz") as arrays:
        z = torch.randn(3, 100, generator=seeds.generator(0))
        assert arrays["x"] == pytest.approx((z @ own["weight"].T + own["bias"]).numpy(), abs=1e-5)
    assert cli.run("eval", "run", "trust=true") == 0


@pytest.mark.slow
def test_each_job_of_a_sweep_trains_in_its_own_folder(cli, train):
    assert cli.run("train", "-m", "model=gan,wgan", "seed=1,2", "data=ring", "kimg=0.512", *QUIET) == 0
    (sweep,) = (cli.folder / "outputs" / "sweeps").iterdir()
    jobs = [path for path in sorted(sweep.iterdir()) if (path / "config.yaml").exists()]
    pairs = [(model, seed) for model in ("gan", "wgan") for seed in (1, 2)]
    assert [path.name for path in jobs] == [f"{i}-model-{m}+seed-{s}" for i, (m, s) in enumerate(pairs)]
    for path, (model, seed) in zip(jobs, pairs, strict=True):
        cfg = OmegaConf.load(path / "config.yaml")
        assert (load_checkpoint(path)["ganrun"]["choices"]["model"], cfg.seed, cfg.kimg) == (model, seed, 0.512)
        assert (cfg.folder, status(path)["state"]) == (str(path.relative_to(cli.folder)), "done")
        assert status(path)["kimg"] >= 0.512
    alone = train("model=wgan", "seed=2", "data=ring", "kimg=0.512", *QUIET)
    assert [has_same_weights(alone, path, "generator.") for path in jobs] == [False, False, False, True]


def act_at(monkeypatch, images, act, seed=None):
    """Call `act` in runs (with this seed) after so many images, before the next batch."""
    step = Adversarial._train_on_batch

    def acting(model, *arguments):
        if model.images_seen == images and seed in (None, model.seed):
            act()
        return step(model, *arguments)

    monkeypatch.setattr(Adversarial, "_train_on_batch", acting)


def fail():
    raise RuntimeError("lost")


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_a_failed_run_has_exit_code_1_and_status_failed(cli, monkeypatch, capfd):
    act_at(monkeypatch, 16, fail)
    assert cli.run("train", *RING, "folder=run") == 1
    assert "RuntimeError: lost" in capfd.readouterr().err
    assert status(cli.folder / "run")["state"] == "failed"
    assert load_checkpoint(cli.folder / "run")["seen"]["images"] == 16


def run_and_interrupt(cli, monkeypatch):
    act_at(monkeypatch, 12, press_ctrl_c)
    assert cli.run("train", *RING, "folder=run") == 130
    return cli.folder / "run"


def test_an_interrupted_run_has_exit_code_130_and_can_be_sampled(cli, monkeypatch, capfd):
    run = run_and_interrupt(cli, monkeypatch)
    err = capfd.readouterr().err
    assert err.endswith("ganrun: interrupted by SIGINT\n")
    assert "Traceback" not in err
    assert status(run)["state"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert cli.run("sample", "run", "n=4", "as=npz", "out=samples") == 0


def test_an_interrupt_finishes_the_current_batch(cli, monkeypatch):
    assert status(run_and_interrupt(cli, monkeypatch))["kimg"] == 0.016


@pytest.mark.slow
def test_ctrl_c_interrupts_a_real_process(cli):
    args = [sys.executable, "-m", "ganrun", "train", *RING, "kimg=1e6", "log_every=10", "folder=run"]
    run, options = cli.folder / "run", {"text": True, "stderr": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(args, cwd=cli.folder, env=dict(os.environ), **options) as process:
        end = time.monotonic() + 60
        while not (run.exists() and lines(run, "kimg")) and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, status(run)["state"]) == (130, "interrupted")
    assert "Traceback" not in err
    assert status(run)["kimg"] > 0
