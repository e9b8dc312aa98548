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


def test_settings_of_the_original_gan_move_to_the_choices_that_replace_them():
    content = {"_target_": "ganrun.models.dcgan.DCGAN", "k": 2, "generator_loss": "minimax", "c": "${model.k}"}
    cfg = OmegaConf.to_container(renames.update_config(OmegaConf.create({"model": content})))
    assert cfg["model"] == {"_target_": content["_target_"], "d_steps": 2, "loss": "${loss}", "c": "${model.d_steps}"}
    assert cfg["loss"] == {"_target_": "ganrun.models.losses.Minimax"}


def test_settings_of_a_users_own_class_keep_their_names():
    content = {"model": {"_target_": "mine.Began", "k": 2, "generator_loss": "minimax", "c": "${model.k}"}}
    assert OmegaConf.to_container(renames.update_config(OmegaConf.create(content))) == content


def test_an_unknown_value_of_an_old_setting_stays_for_the_class_to_refuse():
    content = {"model": {"_target_": "ganrun.models.gan.GAN", "generator_loss": "foo"}}
    assert OmegaConf.to_container(renames.update_config(OmegaConf.create(content))) == content


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("model.k=3", "model.d_steps=3"),
        ("+model.k=3", "+model.d_steps=3"),
        ("model.k=1,5", "model.d_steps=1,5"),
        ("model.generator_loss=minimax", "loss=minimax"),
        ("model.generator_loss=non_saturating", "loss=logistic"),
        ("model.kk=3", "model.kk=3"),
        ("optimizer.lr=1", "optimizer.lr=1"),
        ("~model.k", "~model.k"),
    ],
)
def test_an_override_gets_todays_name(old, new):
    assert renames.current_override(old) == new
