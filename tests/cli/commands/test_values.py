"""Values that mean something are accepted and have their effect."""

import pytest
from helpers.runs import RING, load_checkpoint, status


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer.betas=[0,0.9]"],
        ["+optimizers.generator.betas=[0,0.9]"],
        ["optimizer=rmsprop", "optimizer.alpha=0", "optimizer.momentum=0", "model.d_steps=2"],
        ["optimizer=sgd", "optimizer.lr=1", "optimizer.momentum=0", "clip=1"],
        ["schedule=linear_decay", "schedule.start=0", "schedule.end=1"],
        ["init=normal", "init.std=1", "ema.half_life_kimg=1", "ema.ramp_up=1"],
        ["data.sigma=1", "data.radius=2"],
        ["+mine.units=8", "network.generator.hidden=['${mine.units}']"],
        ["++kimg=0.032", "minutes=1"],
    ],
)
def test_whole_numbers_and_settings_that_others_refer_to_are_accepted(train, overrides):
    run = train(*RING, *overrides)
    assert status(run)["state"] == "done"


def test_without_a_number_of_images_only_the_time_ends_a_training(train, cli, capfd):
    run = train(*RING, "kimg=null", "minutes=0.005", "schedule=linear_decay")
    assert status(run)["seconds"] >= 0.3
    assert load_checkpoint(run)["seen"]["progress"] == 1
    capfd.readouterr()
    assert cli.run("resume", "run") == 2
    assert "run is finished. To make it longer: ganrun resume run minutes=0.01" in capfd.readouterr().err
    seconds = status(run)["seconds"] + 1
    assert cli.run("resume", "run", f"minutes={seconds / 60}") == 0
    assert status(run)["seconds"] >= seconds
