"""`ganrun train accumulate=`: equal to a larger batch, continued exactly, and refused where it cannot work."""

import json

import pytest
import torch
from helpers.runs import SMALL_RING, equal, lines, load_checkpoint, weights

RUN = [*SMALL_RING, "metrics=none", "kimg=0.48", "log_every=1", "trainer.precision=64-true", "ema.half_life_kimg=0.1"]
PARTS = ["batch_size=6", "accumulate=4", "clip=1", "schedule=linear_decay"]


def test_the_weights_and_curves_are_those_of_the_joined_batch(train):
    parts = train(*RUN, *PARTS, folder="parts")
    joined = train(*RUN, "batch_size=24", "clip=1", "schedule=linear_decay", folder="joined")
    expected = weights(joined)
    assert all(torch.allclose(weights(parts)[key], value, rtol=0, atol=1e-9) for key, value in expected.items())
    curves = [[line["train/generator/loss"] for line in lines(run, "train/generator/loss")] for run in (parts, joined)]
    assert len(curves[0]) == 20
    assert curves[0] == pytest.approx(curves[1], abs=1e-9)
    assert load_checkpoint(parts)["seen"] == load_checkpoint(joined)["seen"]


def test_an_interrupted_run_continues_bit_for_bit(train, cli):
    whole = train(*RUN, *PARTS, folder="whole")
    part = train(*RUN, *PARTS, "kimg=0.48", "checkpoint.every_kimg=0.12", folder="part")
    folder = part / "checkpoints"
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "last": "kimg000000.120.ckpt"}))
    status = json.loads((part / "status.json").read_text())
    (part / "status.json").write_text(json.dumps({**status, "state": "running", "kimg": 0.12}))
    assert cli.run("resume", "part") == 0
    assert equal(weights(part), weights(whole))


def test_the_number_of_parts_cannot_change_during_a_run(train, cli, capfd):
    train(*RUN, *PARTS)
    assert cli.run("resume", "run", "kimg=1", "accumulate=2") == 2
    assert "accumulate cannot change from 4 to 2 during a run" in capfd.readouterr().err
    assert cli.run("resume", "run", "branch=true", "kimg=0.6", "accumulate=2", "folder=branch") == 0
    assert load_checkpoint(cli.folder / "branch")["seen"]["images"] == 600


def test_the_plan_shows_the_parts_and_warns_of_batch_norm(cli, capfd):
    assert cli.run("train", "model=dcgan", "data=digits", "accumulate=4", "batch_size=32", "dry_run=true") == 0
    out, err = capfd.readouterr()
    assert "7,813 batches of 128 examples, each in 4 parts of 32" in " ".join(out.split())
    assert "BatchNorm takes its statistics from each batch of 32 examples" in err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["accumulate=0"], "accumulate must be an integer of at least 1, got 0"),
        (["accumulate=2.5"], "accumulate must be an integer of at least 1, got 2.5"),
        (["accumulate=2", "batch_size=3", "trainer.devices=2"], "batch_size must be a multiple of the number of dev"),
        (["accumulate=2", "trainer.compile=graphs"], "trainer.compile=graphs is not possible: "),
    ],
)
def test_what_cannot_work_is_refused_by_name(cli, capfd, overrides, message):
    assert cli.run("train", *RUN, "batch_size=8", *overrides) == 2
    assert message in capfd.readouterr().err
    assert not (cli.folder / "outputs").exists()
