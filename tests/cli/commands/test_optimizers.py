"""Every optimizer of torch.optim trains, saves, and resumes bit for bit, or is refused before the training."""

import pytest
import torch
from helpers.runs import SMALL_RING, load_checkpoint, rewind
from omegaconf import OmegaConf

from ganrun.cli.main import main

SHORT = [
    *SMALL_RING,
    "batch_size=20",
    "kimg=0.12",
    "metrics=none",
    "checkpoint.every_kimg=0.04",
    "schedule=linear_decay",
]
BETAS = {"betas": [0.5, 0.9]}
CASES = {
    "SGD": [{"momentum": 0.9, "nesterov": True}, {"fused": True}, {"foreach": True, "momentum": 0.5}],
    "Adam": [{}, BETAS, {**BETAS, "fused": True}, {**BETAS, "foreach": True}, {"amsgrad": True, "foreach": False}],
    "AdamW": [BETAS, {**BETAS, "fused": True}, {**BETAS, "foreach": True, "weight_decay": 0.1}],
    "NAdam": [BETAS, {**BETAS, "foreach": True, "decoupled_weight_decay": True}],
    "RAdam": [BETAS, {**BETAS, "foreach": True}],
    "Adamax": [BETAS, {**BETAS, "foreach": True}],
    "Adadelta": [{"rho": 0.8}, {"foreach": True}],
    "Adagrad": [{"lr_decay": 0.1}, {"fused": True}, {"foreach": True}],
    "ASGD": [{"t0": 2}, {"foreach": True}],
    "RMSprop": [{"centered": True, "momentum": 0.5}, {"foreach": True}],
    "Rprop": [{"etas": [0.4, 1.3], "step_sizes": [1e-7, 1.0]}, {"foreach": True}],
    "Adafactor": [{"eps": [None, 0.01]}, {"foreach": True}],
}
REFUSED = {
    "LBFGS": "evaluates a loss several times per step",
    "SparseAdam": "needs sparse gradients",
    "Muon": "Muon only supports 2D parameters",
}
ALL = [  # in the fast tests, one of each
    pytest.param(name, settings, id=f"{name}-{'-'.join(settings)}", marks=pytest.mark.slow if i else ())
    for name, cases in CASES.items()
    for i, settings in enumerate(cases)
]


@pytest.fixture
def train(cli):
    """Trains with an optimizer of the user's own configs; returns the exit code."""

    def train(name, settings, args=SHORT):
        path = cli.folder / "mine" / "optimizer" / "own.yaml"
        path.parent.mkdir(parents=True)
        node = {"_target_": f"torch.optim.{name}", "_partial_": True, "lr": 0.001, **settings}
        path.write_text(OmegaConf.to_yaml(OmegaConf.create(node)))
        return main(["train", "--config-dir", "mine", *args, "optimizer=own", "folder=whole"])

    return train


def assert_same_state(run, whole):
    one, other = load_checkpoint(run), load_checkpoint(whole)
    for part in ("state_dict", "optimizer_states"):
        torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)


def test_every_optimizer_of_torch_is_tried_here():
    kinds = {name for name, kind in vars(torch.optim).items() if isinstance(kind, type)} - {"Optimizer"}
    assert kinds <= CASES.keys() | REFUSED.keys()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), ALL)
def test_a_training_resumes_bit_for_bit(cli, train, name, settings):
    assert train(name, settings) == 0
    run = rewind(cli.folder / "whole", cli.folder / "run", 0.04)
    assert main(["resume", "run"]) == 0
    assert_same_state(run, cli.folder / "whole")
    assert main(["sample", "run", "n=4", "out=samples"]) == 0


@pytest.mark.parametrize("betas", ["[0.5,0.9]", "[0,.9]", "'(0.5, 0.9)'"])
def test_betas_of_the_command_line_train_and_resume(cli, betas):
    changes = [f"optimizer.betas={betas}", "+optimizers.generator.betas=[0.1,0.9]"]
    assert main(["train", *SHORT, *changes, "logger=tensorboard", "folder=whole"]) == 0
    run = rewind(cli.folder / "whole", cli.folder / "run", 0.04)
    assert main(["resume", "run"]) == 0
    assert_same_state(run, cli.folder / "whole")


@pytest.mark.parametrize("setting", ["betas: (0.5, 0.9)", "betas: [0.5, 0.9]", "betas:\n  - 5e-1\n  - 0.9"])
def test_betas_of_a_yaml_may_be_written_like_a_list_or_a_tuple(cli, setting):
    path = cli.folder / "mine" / "optimizer" / "own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"_target_: torch.optim.AdamW\n_partial_: true\nlr: 1e-3\n{setting}\n")
    assert main(["train", "--config-dir", "mine", *SHORT, "kimg=0.04", "optimizer=own", "folder=run"]) == 0
    group = load_checkpoint(cli.folder / "run")["optimizer_states"][0]["param_groups"][0]
    assert tuple(group["betas"]) == (0.5, 0.9)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optimizer.betas=[]", "must be a list of two numbers from 0 to below 1"),
        ("optimizer.betas='(a,b)'", "must be a list of two numbers from 0 to below 1"),
        ("optimizer.betas=[0.5,2]", "must be a list of two numbers from 0 to below 1"),
        ("+optimizer.foreach=true", "`fused` and `foreach` cannot be `True` together"),
        ("+optimizer.differentiable=true optimizer.fused=false", "optimizer.differentiable=true is not possible"),
    ],
)
def test_a_wrong_setting_of_an_optimizer_is_refused(cli, capsys, setting, message):
    assert main(["train", *SHORT, *setting.split(), "folder=run"]) == 2
    assert message in capsys.readouterr().err
    assert not (cli.folder / "run").exists()


@pytest.mark.slow
def test_a_branch_has_other_betas_from_its_first_step_on_and_resumes(cli, train):
    assert train("RAdam", BETAS) == 0
    changes = ["optimizer.betas=[0.2,0.8]", "optimizers.generator.lr=0.01", "schedule=constant", "kimg=0.2"]
    assert main(["resume", "whole", "branch=true", *changes, "folder=branch"]) == 0
    groups = [state["param_groups"][0] for state in load_checkpoint(cli.folder / "branch")["optimizer_states"]]
    assert [(group["lr"], *group["betas"]) for group in groups] == [(0.001, 0.2, 0.8), (0.01, 0.2, 0.8)]
    run = rewind(cli.folder / "branch", cli.folder / "run", 0.16)
    assert main(["resume", "run"]) == 0
    assert_same_state(run, cli.folder / "branch")


@pytest.mark.parametrize("name", [name for name in REFUSED if hasattr(torch.optim, name)])
def test_one_that_cannot_train_is_refused_before_anything_is_written(cli, train, capsys, name):
    assert train(name, {}) == 2
    message = capsys.readouterr().err
    assert REFUSED[name] in message
    assert message.startswith("ganrun: ")
    assert not (cli.folder / "whole").exists()


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
def test_muon_trains_networks_of_matrices(cli, train):
    linear = "{_target_: torch.nn.Linear, in_features: %d, out_features: %d, bias: false}"
    path = cli.folder / "mine" / "network" / "matrices.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(f"generator: {linear % (100, 2)}\ndiscriminator: {linear % (2, 1)}\n")
    args = [arg for arg in SHORT if not arg.startswith("network")]
    assert train("Muon", {}, ["network=matrices", *args]) == 0


def test_a_setting_that_the_optimizer_does_not_have_is_named_with_the_way_to_leave_it_out(cli, capsys):
    assert main(["train", *SHORT, "optimizer._target_=torch.optim.RAdam", "folder=run"]) == 2
    assert "Leave it out: '~optimizer.fused'" in capsys.readouterr().err
    assert main(["train", *SHORT, "optimizer._target_=torch.optim.RAdam", "~optimizer.fused", "folder=run"]) == 0
