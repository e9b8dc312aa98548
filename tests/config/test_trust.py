"""What a config from somebody else's file may build."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ganrun.config import resolvers, trust  # noqa: F401  configs are composed with the resolvers
from ganrun.errors import UserError

GOOD = {
    "model": {"_target_": "ganrun.models.gan.GAN", "generator": {"_target_": "ganrun.networks.mlp.Generator"}},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-4},
    "layers": [{"_target_": "torch.nn.ReLU"}],
    "metrics": {"_target_": None},
}


def test_classes_of_ganrun_and_layers_and_optimizers_of_torch_are_trusted():
    trust.check_trusted(OmegaConf.create(GOOD), Path("a.ckpt"))


BAD = [
    "os.system",
    "builtins.open",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "torch.nn.modules.module.os.system",
    "numpy.load",
    "mymodel.GAN",
    "ganrun.models.gan",
    "ganrun.errors.sys.exit",
]


def test_the_shape_of_images_may_be_computed_and_is_numbers_only():
    shape = "${image_shape:${data.channels},${data.size}}"
    cfg = OmegaConf.create({"data": {"channels": 3, "size": [48, 64], "shape": shape}})
    trust.check_trusted(cfg, Path("a.ckpt"))
    assert cfg.data.shape == [3, 48, 64]
    hostile = {"_target_": "builtins.open", "file": "pwned"}
    for text in ("{_target_: builtins.open}", "[{_target_: builtins.open}]", "${data.node}", "[${data.node}]", "os"):
        cfg = OmegaConf.create({"data": {"node": hostile, "shape": "${image_shape:1," + text + "}"}})
        assert all(type(value) is int for value in cfg.data.shape)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("[3,8,9],2", [6, 8, 9]), ("[2],4", [8]), ("${data.size},2", [4]), ("[],2", [0]), ("3,2", [0]), ("[1],os", [0])],
)
def test_the_shape_of_a_pack_may_be_computed_and_is_numbers_only(shape, expected):
    cfg = OmegaConf.create({"data": {"size": [2], "shape": "${packed_shape:" + shape + "}"}})
    trust.check_trusted(cfg, Path("a.ckpt"))
    assert cfg.data.shape == expected
    hostile = {"_target_": "builtins.open", "file": "pwned"}
    for text in ("{_target_: builtins.open},2", "[{_target_: builtins.open}],2", "[1],${data.node}", "${data.node},1"):
        cfg = OmegaConf.create({"data": {"node": hostile, "shape": "${packed_shape:" + text + "}"}})
        assert all(type(value) is int for value in cfg.data.shape)


@pytest.mark.parametrize("target", BAD)
@pytest.mark.parametrize("node", ["model", "model.generator", "layers.0"])
def test_any_other_name_is_refused_anywhere_in_the_config(target, node, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ganrun", "eval", "a.ckpt"])
    cfg = OmegaConf.create(GOOD)
    OmegaConf.update(cfg, f"{node}._target_", target)
    with pytest.raises(UserError) as error:
        trust.check_trusted(cfg, Path("a.ckpt"))
    for part in ("a.ckpt", f"{node}._target_={target}", "ganrun eval a.ckpt trust=true"):
        assert part in str(error.value)
