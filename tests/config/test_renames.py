"""Names of version 0.1. tests/test_version_0_1.py runs whole folders of it."""

from importlib import import_module
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ganrun.config import renames

NAMES = (Path(__file__).parents[1] / "fixtures" / "v0.1" / "public_names.txt").read_text().split()


@pytest.mark.parametrize("path", NAMES)
def test_every_public_class_of_version_0_1_can_be_imported(path):
    module, _, name = path.rpartition(".")
    assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ganrun.losses.hinge", "ganrun.models.losses.hinge"),  # a module that moved
        ("ganrun.losses.of_generator", "ganrun.models.losses.generator_loss"),  # and a function renamed in it
        ("ganrun.models.gan.GAN", "ganrun.models.gan.GAN"),
        ("mygan.losses.hinge", "mygan.losses.hinge"),
    ],
)
def test_a_dotted_path_gets_todays_name(old, new):
    assert renames.current_name(old) == new


def test_renamed_settings_move_with_their_values_and_interpolations(monkeypatch):
    monkeypatch.setattr(renames, "SETTINGS", {"optimizer.rate": "optimizer.lr", "length": "run.kimg", "lost": "gone"})
    cfg = OmegaConf.create(
        {"length": 5, "optimizer": {"rate": "${length}", "b": 1}, "x": [{"lr": "${optimizer.rate}"}]}
    )
    OmegaConf.set_struct(cfg, True)
    updated = OmegaConf.to_container(renames.update_config(cfg))
    assert updated == {"run": {"kimg": 5}, "optimizer": {"lr": "${run.kimg}", "b": 1}, "x": [{"lr": "${optimizer.lr}"}]}
    assert cfg.x[0].lr == 5


def test_a_config_of_today_stays_as_it_is():
    content = {"model": {"_target_": "ganrun.models.gan.GAN", "z": "${data.size}"}, "data": {"size": 3}, "a": ["b"]}
    assert OmegaConf.to_container(renames.update_config(OmegaConf.create(content))) == content
