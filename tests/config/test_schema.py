"""The records of the settings: complete, none stale, and the messages for wrong values."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from ganrun.config import docs, schema
from ganrun.errors import UserError
from ganrun.files import conf_dir

VERBS = ("train", "eval", "resume", "sample", "look", "play", "translate", "quiz", "export")


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
                chosen = {group: names[i % len(names)] for group, names in options.items()}
                left_out = {group: name for group, name in chosen.items() if not is_taken(group, chosen)}
                yield compose(verb, [f"{group}={name}" for group, name in chosen.items() if group not in left_out])
                if verb == "train" and "logger" in chosen:
                    yield compose(verb, [f"+logger@more_loggers.own={chosen['logger']}"])
                if left_out:
                    yield compose(verb, ["model=gan", *(f"{group}={name}" for group, name in left_out.items())])


def is_taken(group, chosen):
    """Return whether the chosen model has such a group: not all have a loss and regularizers to choose."""
    path = conf_dir() / "model" / f"{chosen.get('model')}.yaml"
    return group not in ("loss", "regularizer") or group in docs.default_choices(path)


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
    open_groups = {key for key in own if key.startswith(("logger.", "more_loggers.", "sweep.space.", "model.codes."))}
    assert own - open_groups - schema.SETTINGS.keys() == set()


def test_every_setting_of_conf_has_a_type(keys):
    own = {key for key, is_value in keys.items() if is_value and not key.rpartition(".")[2].startswith("_")}
    open_groups = {key for key in own if key.startswith(("more_loggers.", "sweep.space.", "sweep.only"))}
    assert [key for key in sorted(own - open_groups) if schema.find_setting(key).allowed is None] == []


HUGE, NAN, INF = 10**20, float("nan"), float("inf")
VALUES = [NAN, INF, -INF, True, "yes", "", -1, 0, 0.5, 1, HUGE, None, [], ["x"], [[1]], {"x": 1}]
MEANINGFUL = {  # by the description of a type: those of VALUES that some setting of this type may have
    "a class, MODULE.CLASS": ["yes"],
    "a class, a list of classes such as [3,7], or null": ["yes", "", 0, 1, None, [], ["x"]],
    "a list of names, such as [Male,Smiling], or null": [None, ["x"]],
    "a list of names, such as [x,y,picture]": [["x"]],
    "a list of names, such as [colour]": [["x"]],
    "a list of scores, such as [kid,prdc]": [[], ["x"]],
    "a list of splits, [train], [test] or [train,test], or null": [None],
    "a list of samples, by number or as seed:N, such as [3,17,40], or null": [
        None,
        ["x"],
    ],  # the samples are known later
    "a mapping of codes to values, such as {c1: 3}, the name of a code, or null": ["yes", None, {"x": 1}],
    "a mapping, {key: value}": [{"x": 1}],
    "a mapping, {key: value}, or null": [None, {"x": 1}],
    "a number": [-1, 0, 0.5, 1, HUGE],
    "a number above 0": [0.5, 1, HUGE, None],  # null: kimg alone
    "a number above 0 or null": [0.5, 1, HUGE, None],
    "a number from 0 to 1": [0, 0.5, 1],
    "a number from 0 to 2": [0, 0.5, 1],
    "a number from 0 to below 1": [0, 0.5],
    "a number of at least 0": [0, 0.5, 1, HUGE],
    "a precision such as auto, 32-true, bf16-mixed or 64-true": ["yes", "", 1],  # Lightning knows which
    "a string or a list of strings, ['string', 'string']": ["yes", "", [], ["x"]],
    "a string or null": ["yes", "", None],
    "a string, a list of strings such as [A,B], or null": ["yes", "", None, ["x"]],
    "a string that is not empty": ["yes"],
    "a string that is not empty, or null": ["yes", None],
    "a string, an integer of at least 0 or null": ["yes", "", 0, 1, None],
    "an integer from 0 to 4294967295": [0, 1],
    "an integer from 0 to 65535": [0, 1],
    "an integer of at least 0": [0, 1],
    "an integer of at least 0 or null": [0, 1, None],
    "an integer of at least 1": [1],
    "an integer of at least 1 or null": [1, None],
    "an integer from 1 to 1024 or null": [1, None],
    "an integer from 0 to 100": [0, 1],
    "an integer from 0 to 100000": [0, 1],
    "an integer from 1 to 2": [1],
    "an integer from 1 to 50 or null": [1, None],
    "an integer from 1 to 64": [1],
    "an integer from 1 to 10000": [1],
    "an integer from 1 to 100000 or null": [1, None],
    "an integer of at least 1, -1 or auto for all devices, or a list such as [0,1]": [-1, 1],
    "an integer of at least 1, or height and width, such as [48,64]": [1],
    "an integer of at least 2 or null": [None],
    "one of median, hyperband or null": [None],
    "one of fork, spawn or null": [None],
    "one of min, max or null": [None],
    "one of standard_deviation, discrimination or null": [None],
    "true or false": [True],
    "true, false or null": [True, None],
}


def is_admitted(key, value):
    try:
        schema.check_value(key, value)
    except UserError as error:
        return not str(error).startswith(f"{key} must be ")
    return True


def test_a_setting_takes_a_value_only_if_it_means_something(keys):
    """Wrong types, NaN, infinity, huge integers, words for true and false: all settings of conf/ and all of VALUES."""
    values = OmegaConf.create({"value": VALUES}).value
    for key in sorted(keys):
        allowed = schema.find_setting(key).allowed
        if allowed and not key.rpartition(".")[2].startswith("_") and not key.startswith("sweep.space."):
            found = [repr(VALUES[i]) for i in range(len(VALUES)) if is_admitted(key, values[i])]
            assert set(found) <= set(map(repr, MEANINGFUL.get(allowed.description, []))), key


def test_settings_in_fractions_take_whole_numbers_too(keys):
    numbers = [key for key in keys if (schema.find_setting(key).allowed or schema.types.TEXT).description == "a number"]
    assert all(is_admitted(key, 1) and is_admitted(key, 1.0) for key in numbers)
    assert is_admitted("optimizer.betas", OmegaConf.create([0, 0.9]))
    assert is_admitted("optimizers.generator.betas", OmegaConf.create([0, 0.9]))


@pytest.mark.parametrize(
    ("key", "value", "hint"),
    [
        ("kimg", float("inf"), "For a training that only time ends: kimg=null minutes=60"),
        ("kimg", 1e20, "For a training that only time ends: kimg=null minutes=60"),
        ("kimg", 1e-320, "At least 0.001, one image."),
        ("validate_kimg", 1e-320, "At least 0.001."),
        ("optimizer.lr", float("inf"), "It must be finite."),
        ("trainer.batches_per_step", 10**20, "At most 2147483647."),
        ("seed", 99999999999, "must be an integer from 0 to 4294967295, got 99999999999."),
        ("sweep.threads", 10**20, f"must be an integer from 1 to 1024 or null, got {10**20}."),
        ("kimg", 1e9, "At most 1e+08. For a training that only time ends: kimg=null minutes=60"),
        ("minutes", 1e9, "At most 1e+07."),
        ("data.points", 10**9, "At most 100000000."),
        ("data.points", 0, "data.points must be an integer of at least 1, got 0."),
        ("data.size", 10**20, "At most 2147483647."),
        ("data.size", [28, 10**20], "At most 2147483647."),
        ("network.generator.hidden", [10**20], "At most 2147483647."),
        ("trainer.devices", 10**20, "At most 2147483647."),
        ("trainer.precision", 10**20, "At most 2147483647."),
        ("logger.version", 10**20, "At most 2147483647."),
        ("logger.version", -1, "must be a string, an integer of at least 0 or null, got -1."),
        ("classes", 10**20, "At most 2147483647."),
        ("trust", "no", "Did you mean trust=false?"),
        ("resume", "on", "Did you mean resume=true?"),
        ("logger.name", True, "Quote it: logger.name='\"true\"'"),
    ],
)
def test_the_message_says_how_to_mend_the_value(key, value, hint):
    with pytest.raises(UserError) as error:
        schema.check_value(key, OmegaConf.create({"value": value}).value)
    assert str(error.value).endswith(hint)


@pytest.mark.parametrize(("key", "value"), [("seed", 2**32 - 1), ("batch_size", 2**31 - 1), ("data.points", 10**8)])
def test_the_largest_value_that_a_message_names_is_allowed(key, value):
    schema.check_value(key, value)


def test_the_value_of_a_setting_that_follows_from_another_is_blamed_on_that_one():
    cfg = OmegaConf.create({"callbacks": {"length": {"kimg": "${kimg}"}}, "kimg": "abc"})
    with pytest.raises(UserError, match=r"^kimg must be"):
        schema.check_values(cfg)


def test_a_class_of_the_users_own_may_give_a_name_another_meaning():
    network = {"generator": {"_target_": "mine.Generator", "hidden": 64}}
    schema.check_values(OmegaConf.create({"network": network}))
    network["generator"]["_target_"] = "ganrun.networks.mlp.Generator"
    with pytest.raises(UserError, match=r"^network\.generator\.hidden must be a list"):
        schema.check_values(OmegaConf.create({"network": network}))


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
        (
            "data.root",
            2024,
            "such as [A,B], or null, got the number 2024. Quote it: data.root='\"2024\"'",
        ),
        ("data.root", [1], "data.root must be a string, a list of strings such as [A,B], or null, got [1]."),
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
