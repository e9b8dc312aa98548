"""Words of other programs for settings."""

import re

import pytest

from ganrun.config import docs
from ganrun.config.foreign_words import ADVICE, ADVICE_OF_COMMAND, find_own_word
from ganrun.config.schema import SETTINGS
from ganrun.files import conf_dir

OF_A_CHOICE = ("model.z_dim", "model.d_steps", "network.width", "data.size", "data.root")  # of some, not of all


@pytest.mark.parametrize("advice", ADVICE.values())
def test_each_setting_that_is_advised_is_one(advice):
    keys = re.findall(r"(?<![\w.+])([a-z_]\w*(?:\.\w+)*)=", advice)
    groups = {path.name for path in conf_dir().iterdir() if path.is_dir()}
    patterns = [re.escape(key).replace(r"\*\*", ".*").replace(r"\*", r"[^.]*") for key in SETTINGS]
    for key in keys:
        assert key in groups or any(re.fullmatch(pattern, key) for pattern in patterns), key
    assert keys or "nothing" in advice or advice.startswith("+optimizers.")


@pytest.mark.parametrize(
    ("verb", "advice"),
    [(verb, advice) for verb, words in ADVICE_OF_COMMAND.items() for advice in words.values()],
)
def test_each_setting_that_is_advised_of_another_command_is_one_of_it(verb, advice):
    own = {key.name for key in docs.documented_keys(conf_dir() / f"{verb}.yaml")}
    keys = re.findall(r"\b(\w+)=", advice)
    assert keys
    assert own.issuperset(keys)


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("Learning-Rate", "optimizer.lr=3"),
        ("batch_size_", "batch_size=3"),
        ("num_gpus", "trainer.devices=3"),
        ("latent_dim", "model.z_dim=3"),
        ("gpu", "trainer.devices=[3]"),  # the number of one, not how many
        ("gpu_ids", "trainer.devices=[3]"),
        ("modle", ""),
    ],
)
def test_a_word_is_found_however_it_is_written(key, own):
    assert find_own_word("train", key, "3") == own
