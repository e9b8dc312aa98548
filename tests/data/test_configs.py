"""The config of each data set builds a DataModule with its settings."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ganrun.files import conf_dir

CONFIGS = sorted(path.stem for path in (conf_dir() / "data").glob("*.yaml"))
METRICS = {"sprites": "factors", "digits": "lenet", "mnist": "lenet", "ring": "modes", "grid": "modes"}
METRICS |= {"unpaired": "translation", "unpaired_digits": "translation_lenet"}
METRICS |= {"mixture_1200": "modes", "stacked_digits": "stacked_small", "stacked_mnist": "stacked", "surface": "none"}
NETWORKS = {
    "surface": "none",
    "ring": "points",
    "grid": "points",
    "unpaired_digits": "cyclegan_small",
    "mixture_1200": "mlp",
}


@pytest.fixture
def composed(tmp_path):
    """name, overrides -> the config of `data` in a small primary config, with stubs for the other groups."""
    groups = {"metrics": [*METRICS.values(), "inception"], "network": ["other", *set(NETWORKS.values())]}
    for group, names in groups.items():
        (tmp_path / group).mkdir()
        for name in names:
            (tmp_path / group / f"{name}.yaml").write_text(f"chosen: {name}\n")
    (tmp_path / "main.yaml").write_text(
        f"hydra: {{searchpath: ['file://{conf_dir()}']}}\n"
        "defaults: [metrics: inception, network: other, data: digits, _self_]\n"
    )

    def compose_data(name: str, *overrides: str):
        with initialize_config_dir(str(tmp_path), version_base=None):
            return compose("main", [f"data={name}", *overrides])

    return compose_data


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_builds_its_data_module_without_reading_a_file(composed, name):
    config = composed(name)
    data = instantiate(config.data, batch_size=4, seed=0)
    assert data.name == name == data.source.name
    assert data.shape == (tuple(config.data.shape))
    assert "contents" not in vars(data)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_data_set_chooses_its_metrics_and_its_networks(composed, name):
    config = composed(name)
    assert config.metrics.chosen == METRICS.get(name, "inception")
    assert config.network.chosen == NETWORKS.get(name, "other")


def test_the_command_line_overrides_the_metrics_of_a_data_set(composed):
    assert composed("digits", "metrics=modes").metrics.chosen == "modes"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_is_short_and_every_tunable_key_has_its_help(name):
    lines = Path(conf_dir() / "data" / f"{name}.yaml").read_text().splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith("# ")


def test_the_shape_follows_size_and_channels(composed):
    data = instantiate(composed("folder", "data.size=32", "data.channels=1").data, batch_size=4, seed=0)
    assert data.shape == (1, 32, 32)
    assert (data.source.size, data.source.channels) == (32, 1)


@pytest.mark.parametrize("name", CONFIGS)
def test_images_of_every_data_set_may_have_a_height_and_a_width(composed, name):
    config = composed(name)
    if "size" not in config.data:
        return
    data = instantiate(composed(name, "data.size=[48,64]").data, batch_size=4, seed=0)
    assert data.shape == (data.shape[0], 48, 64)


@pytest.mark.parametrize("name", ["digits", "stacked_digits", "unpaired_digits"])
def test_the_shipped_digits_are_resized_to_height_and_width(composed, name):
    data = instantiate(composed(name, "data.size=[12,16]").data, batch_size=4, seed=0)
    key = "x" if "x" in data.gives else "a"
    assert data.batch(0)[key].shape == (4, *data.shape)
    assert data.test(key, 3).shape == (3, *data.shape)
