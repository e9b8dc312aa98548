"""generator=, discriminator= and encoder= take one part of a network set, whole; which choice of metrics= counts."""

import pytest
from helpers.model_training import PLAIN, job_of
from hydra import compose, initialize_config_dir
from hydra.errors import MissingConfigException
from omegaconf import OmegaConf

from ganrun.cli.main import main
from ganrun.config import docs
from ganrun.errors import UserError
from ganrun.files import conf_dir

DIGITS = ["model=dcgan", "data=digits", "batch_size=4"]


def network_of(*overrides, folder=None):
    """Return the node `network` of the composed config, with interpolations. folder: of more configs."""
    return composed(*overrides, folder=folder)["network"]


def composed(*overrides, folder=None):
    search_path = [f"hydra.searchpath=['file://{folder}']"] if folder else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose("train", [*search_path, *overrides]))


def write(folder, **configs):
    for name, text in configs.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_each_part_comes_whole_from_its_set_and_the_others_stay():
    mixed, own = network_of("model=dcgan", "generator=mlp"), network_of("model=dcgan")
    assert mixed["generator"] == network_of("model=gan", "network=mlp")["generator"]
    assert mixed["discriminator"] == own["discriminator"]
    assert mixed.keys() == own.keys()


def test_what_a_part_shares_with_its_set_becomes_a_value_of_it():
    mixed = network_of("model=dcgan", "generator=r3gan", "discriminator=resnet_small", "network.width=16")
    assert (mixed["width"], mixed["generator"]["width"], mixed["discriminator"]["width"]) == (16, 64, 32)
    assert mixed["generator"]["blocks_per_size"] == 1
    inner = network_of("model=dcgan", "discriminator=autoencoder")["discriminator"]
    assert (inner["encoder"]["outputs"], inner["decoder"]["z_dim"], inner["power"]) == (64, 64, 1)
    assert network_of("model=cgan", "generator=acgan", "network.width=8")["generator"]["net"]["width"] == 32
    assert network_of("model=veegan", "encoder=points")["encoder"]["hidden"] == [200]


def test_a_part_of_the_set_that_network_names_changes_nothing():
    assert network_of("model=dcgan", "generator=dcgan", "discriminator=dcgan") == network_of("model=dcgan")
    ring = ["model=gan", "data=ring"]
    assert network_of(*ring, "generator=points") == network_of(*ring)


def test_parts_that_follow_the_replaced_one_keep_its_values():
    mixed = network_of("model=gan", "network=points", "discriminator=resnet")
    assert (mixed["joint"]["hidden"], mixed["joint"]["pieces"], mixed["encoder"]["hidden"]) == ([200], 5, [200])
    own = network_of("model=gan", "network=points", "generator=resnet")
    assert own["joint"]["hidden"] == "${network.discriminator.hidden}"


def test_settings_of_a_part_are_those_of_the_chosen_one():
    args = ["model=dcgan", "generator=mlp", "network.generator.hidden=[7]"]
    assert network_of(*args)["generator"]["hidden"] == [7]


def test_a_models_own_settings_of_networks_come_after_the_part():
    shape = network_of("model=pacgan", "network=mlp", "discriminator=resnet_small")["discriminator"]["shape"]
    assert shape == "${packed_shape:${data.shape},${model.pack}}"


@pytest.mark.parametrize("name", docs.group_choices("generator", docs.conf_dirs()))
def test_every_part_stands_alone(name):
    for part in docs.NETWORK_PARTS:
        if name in docs.group_choices(part, docs.conf_dirs()):
            node = OmegaConf.to_yaml(OmegaConf.create(network_of("model=gan", "network=none", f"{part}={name}")[part]))
            assert "${network." not in node


def test_the_groups_have_the_sets_with_such_a_part():
    folders = docs.conf_dirs()
    sets = {*docs.group_choices("network", folders)}
    with_codes = {
        "ali",
        "bigan",
        "bigbigan",
        "encoder_decoder",
        "vae",
    }  # which have no discriminator, or one of pairs; vaegan has one
    assert sets - {*docs.group_choices("generator", folders)} == {"none"}
    assert sets - {*docs.group_choices("discriminator", folders)} == {"none", *with_codes}
    assert {*docs.group_choices("encoder", folders)} == {"maxout", "mlp", "points", "vaegan", *with_codes}


def test_weights_of_a_part_are_those_of_its_set_with_the_same_seed():
    """Networks draw their weights one after the other, so that those of the second depend on the size of the first."""
    args = [*DIGITS, "init=default"]
    mixed = job_of(*args, "generator=mlp", "discriminator=resnet_small").model
    assert has_equal_weights(mixed.generator, job_of(*args, "network=mlp").model.generator)
    shapes = {name: weight.shape for name, weight in job_of(*DIGITS, "network=resnet_small").model.named_parameters()}
    own = {f"discriminator.{name}": weight.shape for name, weight in mixed.discriminator.named_parameters()}
    assert own == {name: shape for name, shape in shapes.items() if name.startswith("discriminator.")}
    critic, whole = job_of(*DIGITS, "discriminator=dcgan_critic"), job_of(*DIGITS, "network=dcgan_critic")
    assert has_equal_weights(critic.model, whole.model)


def has_equal_weights(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys() != set()
    return all(a[key].equal(b[key]) for key in a)


def test_a_set_of_the_users_gives_its_parts_with_what_they_share(tmp_path):
    write(
        tmp_path,
        network__base="units: 5\ndepth: {n: 2}\ngenerator: {_target_: a.G, units: '${network.units}'}\n",
        network__mine="""\
defaults:
  - base
  - _self_
units: 6
generator: {wide: '${network.generator.units}', text: 'n${network.depth.n}', above: '${..units}'}
discriminator: {_target_: a.D, list: ['${network.depth.n}', '${...units}'], shape: '${data.shape}'}
""",
    )
    mixed = network_of("model=dcgan", "generator=mine", "discriminator=mine", folder=tmp_path)
    assert mixed["generator"] == {
        **{"_target_": "a.G", "units": 6, "wide": "${network.generator.units}", "text": "n2", "above": 6}
    }
    assert mixed["discriminator"] == {"_target_": "a.D", "list": [2, 6], "shape": "${data.shape}"}


def test_a_part_may_have_a_file_of_its_own_that_inherits(tmp_path):
    write(
        tmp_path,
        generator__big="_target_: a.G\nunits: 5\ndepth: 2\n",
        generator__bigger="defaults:\n  - big\n  - _self_\nunits: 6\n",
    )
    mixed = network_of("model=dcgan", "generator=bigger", "network.generator.depth=3", folder=tmp_path)
    assert mixed["generator"] == {"_target_": "a.G", "units": 6, "depth": 3}


def test_an_experiment_chooses_parts_and_sets_them_and_the_command_line_counts_more(tmp_path):
    write(
        tmp_path,
        experiment__mix="""\
# @package _global_
defaults:
  - override /model: dcgan
  - override /generator: r3gan
  - _self_
network: {generator: {width: 8}}
""",
    )
    assert network_of("experiment=mix", folder=tmp_path)["generator"]["_target_"] == "ganrun.networks.r3gan.Generator"
    assert network_of("experiment=mix", folder=tmp_path)["generator"]["width"] == 8
    other = network_of("experiment=mix", "generator=resnet", folder=tmp_path)["generator"]
    assert (other["_target_"], other["width"]) == ("ganrun.networks.resnet.Generator", 8)


def test_a_model_with_a_group_of_its_own_of_that_name_keeps_it(tmp_path):
    own = (
        "# @package _global_\ndefaults:\n  - gan\n  - /generator: big\n  - _self_\nmodel: {generator: '${generator}'}\n"
    )
    write(tmp_path, generator__big="_target_: a.G\n", model__own=own)
    config = composed("model=own", folder=tmp_path)
    assert config["generator"] == {"_target_": "a.G"}
    assert config["network"] == network_of("model=gan")
    parts = composed("model=own", "discriminator=resnet", folder=tmp_path)
    assert parts["network"]["discriminator"]["width"] == 128


def test_a_set_without_the_part_is_refused_with_those_that_have_it(tmp_path):
    write(tmp_path, experiment__bare="# @package _global_\ndefaults:\n  - override /encoder: resnet\n")
    with pytest.raises(UserError, match=r"network=resnet have none\. Allowed: ali, bigan, bigbigan, encoder_decoder, "):
        composed("experiment=bare", folder=tmp_path)


def test_a_part_that_a_users_experiment_misspells_is_refused_with_its_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mine", experiment__lost="# @package _global_\ndefaults:\n  - override /generator: dcgn\n")
    assert main(["train", "--config-dir", "mine", "experiment=lost"]) == 2
    err = capsys.readouterr().err
    assert 'Unknown generator "dcgn" (chosen in mine/experiment/lost.yaml). Did you mean dcgan' in err


CHOSEN = """\
# @package _global_
defaults:
  - gan
  - override /metrics: lenet
"""
PRECEDENCE = {  # overrides: the scores that count, each by a choice that counts more than those below it
    ("experiment=own", "metrics=stacked"): "stacked",
    ("experiment=own",): "none",
    ("model=chosen", "data=ring"): "lenet",
    ("model=chosen", "data=cifar10"): "lenet",
    ("model=heir", "data=ring"): "stacked_small",
    ("model=gan", "data=ring"): "modes",
    ("model=gan", "data=closer"): "stacked",  # data that choose other scores than those that they build on
    ("model=gan", "data=cifar10"): "inception",
}


@pytest.mark.parametrize("overrides", PRECEDENCE)
def test_metrics_of_the_command_count_then_of_experiment_model_data_and_the_default(tmp_path, overrides):
    write(
        tmp_path,
        model__chosen=CHOSEN,
        model__heir="# @package _global_\ndefaults:\n  - chosen\n  - override /metrics: stacked_small\n",
        data__closer="defaults:\n  - digits\n  - override /metrics@_global_.metrics: stacked\n",
        experiment__own="# @package _global_\ndefaults:\n"
        "  - override /model: chosen\n  - override /data: ring\n  - override /metrics: none\n",
    )
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        search_path = f"hydra.searchpath=['file://{tmp_path}']"
        cfg = compose("train", [search_path, *overrides], return_hydra_config=True)
    assert cfg.hydra.runtime.choices["metrics"] == PRECEDENCE[overrides]


NETWORKS = {
    ("experiment=own", "network=maxout"): "maxout",
    ("experiment=own",): "mlp",
    ("model=dragan", "data=ring"): "points",  # no network for images fits points
    ("model=dragan", "data=digits"): "dcgan_critic",
}


@pytest.mark.parametrize("overrides", NETWORKS)
def test_networks_of_the_command_count_then_of_the_experiment_then_those_that_the_data_need(tmp_path, overrides):
    own = "# @package _global_\ndefaults:\n  - override /model: dragan\n  - override /data: ring\n"
    write(tmp_path, experiment__own=f"{own}  - override /network: mlp\n")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        search_path = f"hydra.searchpath=['file://{tmp_path}']"
        cfg = compose("train", [search_path, *PLAIN[:1], *overrides], return_hydra_config=True)
    assert cfg.hydra.runtime.choices["network"] == NETWORKS[overrides]


def test_a_file_that_has_changed_is_read_again_and_no_composition_changes_another(tmp_path):
    write(tmp_path, network__mine="width: 3\ngenerator: {_target_: a.B, sizes: [1, 2]}\n")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        arguments = [f"hydra.searchpath=['file://{tmp_path}']", "model=gan", "network=mine"]
        first = compose("train", arguments)
        first.network.generator.sizes.append(9)
        assert compose("train", arguments).network.generator.sizes == [1, 2]
        write(tmp_path, network__mine="width: 4\ngenerator: {_target_: a.B, sizes: [3]}\n")
        second = compose("train", arguments).network
        assert (second.width, second.generator.sizes) == (4, [3])
        (tmp_path / "network" / "mine.yaml").unlink()
        with pytest.raises(MissingConfigException, match="mine"):
            compose("train", arguments)
