"""`ganrun train FILE.yaml`: a file of settings is those settings, and a run's config.yaml is that run again."""

import json
from pathlib import Path

import pytest
import yaml
from helpers.runs import QUIET, equal, weights
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ganrun.cli.config_file import override_value, overrides_of_file
from ganrun.cli.main import main
from ganrun.cli.run_config import differing_settings
from ganrun.config.json_forms import flatten_settings
from ganrun.files import conf_dir

SMALL = ["model=dcgan", "data=digits", "network.width=4", "batch_size=8", "kimg=0.032", *QUIET]
SETTINGS = {
    "model": "dcgan",
    "data": "digits",
    "network": {"width": 4},
    "batch_size": 8,
    "kimg": 0.032,
    "seed": 3,
    "optimizer": {"lr": 1e-3, "betas": [0.0, 0.9]},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content, name="own.yaml"):
    Path(name).write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return name


def config(folder):
    content = yaml.safe_load(Path(folder, "config.yaml").read_text())
    content.pop("folder"), content["logger"].pop("save_dir", None)
    return content


@pytest.fixture
def run():
    """A small run with settings of its own."""
    assert main(["train", *SMALL, "seed=3", "optimizer.lr=1e-3", "optimizer.betas=[0,0.9]", "folder=run"]) == 0
    return "run/config.yaml"


def test_a_file_of_settings_is_those_settings(run):
    assert main(["train", write(SETTINGS), *QUIET, "folder=same"]) == 0
    assert config("same") == config("run")
    assert equal(weights(Path("same")), weights(Path("run")))


def test_settings_of_the_command_line_come_before_those_of_the_file():
    assert main(["train", write(SETTINGS), *QUIET, "folder=own", "seed=4", "optimizer.lr=0.5"]) == 0
    assert (config("own")["seed"], config("own")["optimizer"]["lr"]) == (4, 0.5)
    assert config("own")["optimizer"]["betas"] == [0.0, 0.9]


def test_the_config_of_a_run_is_that_run_again(run):
    assert main(["train", run, "folder=again"]) == 0
    assert config("again") == config("run")
    assert equal(weights(Path("again")), weights(Path("run")))
    choices = [json.loads(Path(name, "status.json").read_text())["choices"] for name in ("run", "again")]
    assert choices[0] == choices[1]


def test_what_follows_from_a_setting_changes_with_it(run):
    assert main(["train", run, "folder=wide", "network.width=8", "optimizer.lr=0.5", "metrics.samples=9"]) == 0
    wide = config("wide")
    assert wide["model"]["generator"]["width"] == wide["model"]["discriminator"]["width"] == 8
    assert wide["optimizers"]["generator"]["lr"] == 0.5
    assert wide["optimizer"]["betas"] == [0, 0.9]


def test_the_config_of_a_run_can_be_swept(run, capsys):
    assert main(["train", "-m", run, "optimizer.lr=0.1,0.2", "dry_run=true"]) == 0
    assert "2 points by grid, each with seed 3" in capsys.readouterr().err


COMMANDS = [
    ["model=dcgan", "data=digits"],
    ["model=cgan", "data=digits", "optimizer=rmsprop", "optimizer.lr=0.01", "kimg=7"],
    ["model=wgan_gp", "data=digits", "regularizer.gradient_penalty.weight=3", "model.d_steps=2"],
    ["model=sngan", "data=digits", "loss=logistic", "schedule=constant", "minutes=5", "clip=0.5"],
    ["model=gan", "data=ring", "network.generator.hidden=[8,8]", "metrics.samples=77", "log_every=3"],
    ["model=cyclegan", "data=unpaired_digits", "network=cyclegan_small", "model.pool=3"],
    ["model=dcgan", "data=digits", "logger=csv", "callbacks.evaluation.max_share=0.5", "seed=12"],
    ["model=dcgan", "data=folder", "data.root=a b", "data.size=32", "data.flip=true", "init=xavier"],
    ["experiment=digits"],
    ["model=r3gan", "data=digits", "ema.half_life_kimg=3", "metrics=none"],
    ["model=dcgan", "data=digits", "regularizer=[r1,r2]", "regularizer.r1.gamma=0.25"],
]


def resolved(overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return flatten_settings(OmegaConf.to_container(compose("train", [*overrides, "folder=x"]), resolve=True))


@pytest.mark.parametrize("overrides", COMMANDS, ids=lambda overrides: " ".join(overrides)[:60])
def test_choices_and_differing_settings_make_the_same_config(overrides):
    """From the resolved config and the choices alone, as they are in a run folder."""
    choices = [each for each in overrides if "." not in each.split("=")[0] and each.split("=")[0] in GROUPS]
    wanted = resolved(overrides)
    settings = differing_settings(choices, wanted)
    found = resolved([*choices, *settings])
    assert {key: found.get(key) for key in wanted} == wanted
    plain = [each for each in overrides if each not in choices]
    assert len(settings) <= len(plain) or "experiment=digits" in overrides  # nothing but what was set


GROUPS = ("model", "data", "optimizer", "loss", "schedule", "network", "logger", "init", "metrics", "regularizer")


def test_foreign_classes_in_the_config_of_a_run_need_trust(run, capsys):
    content = yaml.safe_load(Path(run).read_text())
    content["callbacks"]["own"] = {"_target_": "os.system", "command": "touch owned"}
    write(content, run)
    assert main(["train", run, "folder=new"]) == 2
    assert "callbacks.own._target_=os.system, which is not one of ganrun's own classes" in capsys.readouterr().err
    assert not Path("new").exists()
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"model": {"_target_": "os.system"}}, "is not one of ganrun's own classes"),
        ({"callbacks": {"own": {"deep": [{"_target_": "os.system"}]}}}, "is not one of ganrun's own classes"),
        ({"data": {"root": "${oc.env:HOME}"}}, "computes its value with a resolver"),
        ({"hydra": {"searchpath": ["file:///tmp"]}}, "changes Hydra"),
        ({"hydra/launcher": "joblib"}, "changes Hydra"),
    ],
)
def test_settings_that_run_code_need_trust(content, reason, capsys, tmp_path):
    """Also where a run's config.yaml lacks a node, and so does not count as one."""
    write(content)
    assert main(["train", "own.yaml", "folder=new"]) == 2
    err = capsys.readouterr().err
    assert reason in err
    assert "trust=true" in err
    assert {path.name for path in tmp_path.iterdir()} == {"own.yaml"}


def test_a_class_of_ones_own_in_a_file_works_with_trust(monkeypatch, tmp_path):
    Path("mine.py").write_text("from pytorch_lightning import Callback\n\n\nclass Quiet(Callback):\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    write({**SETTINGS, "callbacks": {"quiet": {"_target_": "mine.Quiet"}}})
    assert main(["train", "own.yaml", *QUIET, "folder=new", "trust=true"]) == 0
    assert config("new")["callbacks"]["quiet"] == {"_target_": "mine.Quiet"}


def test_a_logger_that_leads_out_of_the_run_folder_is_refused(run, capsys):
    content = yaml.safe_load(Path(run).read_text())
    content["logger"]["name"] = "../../elsewhere"
    write(content, run)
    assert main(["train", run, "folder=new"]) == 2
    assert "leads out of the run folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "args", "message"),
    [
        (None, [], "own.yaml does not exist. A run is trained by settings, or by a YAML file of settings"),
        ("[1, 2]", [], "It must hold settings, such as model: dcgan"),
        ("model: [", [], "own.yaml cannot be used: it is not YAML"),
        ("a: &x 1\nb: *x", [], "it has a YAML alias or tag"),
        ("modle: dcgan", [], "Unknown key modle. Did you mean model"),
        ("model: dcgann", [], 'Unknown model "dcgann"'),
        ("optimizer: {lrr: 3}", [], "Unknown key optimizer.lrr. Did you mean lr?"),
        ("optimizer: {lr: -1}", [], "optimizer.lr must be a number above 0, got -1"),
        ("defaults: [{/model: dcgan}, other]", [], "has the default other, and only choices such as model: dcgan"),
        ("kimg: 1", ["other.yaml"], 'Unexpected argument "other.yaml"'),
        ("kimg: 1", ["sweep.jobs=2"], "applies to sweeps, which need -m"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(content, args, message, capsys, tmp_path):
    if content is not None:
        write(content)
    before = {*tmp_path.rglob("*")}
    assert main(["train", "own.yaml", *args]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert {*tmp_path.rglob("*")} == before


def test_the_config_of_a_run_without_its_status_is_explained(run, capsys):
    assert main(["train", write(Path(run).read_text())]) == 2
    assert "the status.json beside it, which has the run's choices, is missing" in capsys.readouterr().err


def test_choices_in_a_list_of_defaults_are_choices():
    content = {"defaults": [{"override /model": "wgan"}, {"/data": "digits"}, "_self_"], "kimg": 2}
    assert overrides_of_file(content, Path("x.yaml"), []) == ["model=wgan", "data=digits", "kimg=2"]
    assert overrides_of_file(content, Path("x.yaml"), ["model=gan"]) == ["data=digits", "kimg=2"]


def test_a_class_of_the_users_own_may_have_any_keys():
    content = {"callbacks": {"mine": {"_target_": "mine.Callback", "every": 3, "deep": {"a": "b"}}}}
    assert overrides_of_file(content, Path("x.yaml"), []) == [
        "++callbacks.mine._target_='mine.Callback'",
        "++callbacks.mine.every=3",
        "++callbacks.mine.deep.a='b'",
    ]


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -2.5, 1e-05, "a b", "it's", "1e3", "${kimg}", "", [1, "x,y", [None]], {"a": [True]}, "null"],
)
def test_a_value_is_the_same_in_hydra(value):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("train", [f"+own={override_value(value)}"])
    assert OmegaConf.to_container(cfg)["own"] == value
