"""What a config that came with somebody's file may build."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ganrun.config import trust
from ganrun.errors import UserError

GOOD = {
    "model": {"_target_": "ganrun.models.gan.GAN", "generator": {"_target_": "ganrun.networks.mlp.Generator"}},
    "optimizer": {"_target_": "torch.optim.AdamW", "lr": 1e-4},
    "layers": [{"_target_": "torch.nn.ReLU"}],
    "metrics": {"_target_": None},
}


def test_ganruns_own_classes_and_torchs_layers_and_optimizers_are_known():
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


@pytest.mark.parametrize("target", BAD)
@pytest.mark.parametrize("place", ["model", "model.generator", "layers.0"])
def test_any_other_name_is_refused_wherever_it_stands(target, place, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ganrun", "eval", "a.ckpt"])
    cfg = OmegaConf.create(GOOD)
    OmegaConf.update(cfg, f"{place}._target_", target)
    with pytest.raises(UserError) as found:
        trust.check_trusted(cfg, Path("a.ckpt"))
    for part in ("a.ckpt", f"{place}._target_={target}", "ganrun eval a.ckpt trust=true"):
        assert part in str(found.value)
