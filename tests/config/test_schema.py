"""The records of the settings: complete, none stale, and the messages for wrong values."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from ganrun.config import docs, schema
from ganrun.errors import UserError
from ganrun.files import conf_dir

VERBS = ("train", "eval", "resume", "sample", "translate")


def composed_configs():
    """Configs of conf/ in which each verb has each choice of each group that it takes at least once."""
    for verb in VERBS:
        groups = docs.default_choices(conf_dir() / f"{verb}.yaml")
        if verb == "train":
            groups = [*docs.group_names([conf_dir()])]
            groups.remove("protocol")  # of eval
        options = {group: [*docs.group_choices(group, [conf_dir()])] for group in groups}
        with initialize_config_dir(str(conf_dir()), version_base="1.3"):
            for i in range(max(map(len, options.values()), default=1)):
                yield compose(verb, [f"{group}={names[i % len(names)]}" for group, names in options.items()])


def nodes(node, prefix=""):
    """The keys of all nodes of a config, as (key, whether it is a value of its own)."""
    for name in node:
        key, child = f"{prefix}{name}", node._get_node(name)
        is_parent = isinstance(child, DictConfig) and not child._is_none() and not child._is_interpolation()
        yield key, not is_parent and not child._is_interpolation()
        yield from nodes(child, f"{key}.") if is_parent else ()


@pytest.fixture(scope="module")
def configs():
    return [*composed_configs()]


@pytest.fixture(scope="module")
def keys(configs):
    """{key: whether it has a value of its own in some config of conf/}"""
    result = {}
    for cfg in configs:
        for key, is_value in nodes(cfg):
            result[key] = result.get(key, False) or is_value
    return result


def test_every_setting_of_conf_has_a_record_of_its_own(keys):
    own = {key for key, is_value in keys.items() if is_value and not key.rpartition(".")[2].startswith("_")}
    open_groups = {key for key in own if key.startswith(("logger.", "sweep.space."))}
    assert own - open_groups - schema.SETTINGS.keys() == set()


def test_no_record_is_stale(keys):
    assert [name for name in schema.SETTINGS if not any(schema.fits(name, key) for key in keys)] == []


def test_every_value_of_conf_is_allowed(configs):
    for cfg in configs:
        schema.check_values(cfg)


def test_a_setting_without_a_record_makes_another_experiment_and_is_not_in_hparams():
    setting = schema.find_setting("model.a.b.c")
    assert (setting.resumable, setting.is_compared, setting.in_hparams) == (False, True, False)


@pytest.mark.parametrize(
    ("key", "is_shown"),
    [
        ("network.width", True),
        ("network.mine.depth", True),
        ("network.shape", False),
        ("network.generator.net.shape", False),
        ("network.generator.z_dim", False),
        ("model.mine", True),
        ("model.generator.width", False),
        ("model", True),
        ("metrics", False),
    ],
)
def test_patterns_stand_for_the_settings_of_a_users_own_classes(key, is_shown):
    assert schema.find_setting(key).in_hparams is is_shown


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("data.root", 2024, "data.root must be a string or null, got the number 2024. Quote it: data.root='\"2024\"'"),
        ("data.root", [1], "data.root must be a string or null, got [1]."),
        ("kimg", float("nan"), "kimg must be a number above 0, got nan."),
        ("batch_size", 2.5, "batch_size must be an integer of at least 1, got 2.5."),
        ("batch_size", True, "batch_size must be an integer of at least 1, got true."),
        ("clip", "a", "clip must be a number above 0 or null, got a."),
        ("guard", "skp", "guard must be one of stop, skip, got skp. Did you mean guard=skip?"),
        ("profile", 1, "profile must be true or false, got 1."),
        ("data.reference", ["dev"], "[train], [test] or [train,test], got [dev]."),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(key, value, message):
    cfg = OmegaConf.create()
    OmegaConf.update(cfg, key, value, force_add=True)
    with pytest.raises(UserError) as error:
        schema.check_values(cfg)
    assert message in str(error.value)
