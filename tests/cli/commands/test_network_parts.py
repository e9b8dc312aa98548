"""Networks from parts of several sets by the real command: training, sweeps, resuming, branches, refusals, help."""

import json
import shutil

import pytest
from helpers.runs import QUIET, equal, rows, status, weights
from omegaconf import OmegaConf

from ganrun.cli.completion import list_candidates
from ganrun.cli.main import VERBS

SMALL = ["data=digits", "batch_size=4", "seed=3", *QUIET]
DCGAN = ["model=dcgan", "network.width=4", *SMALL]
MIXED = [*DCGAN, "generator=dcgan", "discriminator=resnet_small", "network.discriminator.width=4"]


def choices(run):
    """The chosen networks in status.json."""
    names = ("network", "generator", "discriminator", "encoder")
    return {name: value for name, value in status(run)["choices"].items() if name in names}


def test_a_mixture_of_two_sets_trains_and_says_so(cli, train, capsys):
    run = train(*MIXED, "kimg=0.008")
    assert choices(run) == {"network": "dcgan", "generator": "dcgan", "discriminator": "resnet_small"}
    network = OmegaConf.load(run / "config.yaml").network
    assert network.generator._target_ == "ganrun.networks.dcgan.Generator"
    assert network.discriminator == {
        **{"_target_": "ganrun.networks.resnet.Discriminator", "shape": [1, 28, 28], "width": 4}
    }
    assert cli.run("sample", "run", "n=2", "as=npz", "out=out") == 0
    train(*DCGAN, "discriminator=r3gan", "network.discriminator.width=4", "kimg=0.008", folder="other")
    train(*DCGAN, "kimg=0.008", folder="plain")
    capsys.readouterr()
    assert cli.run("compare", "run", "other", "plain") == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in lines if line.startswith("discriminator=")] == [
        *("discriminator=resnet_small", "discriminator=r3gan", "discriminator=dcgan")
    ]


def test_hparams_show_the_parts(cli, train):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = train(*MIXED, "logger=tensorboard", "kimg=0.008")
    events = EventAccumulator(str(run)).Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"resnet_small" in content


@pytest.mark.slow
def test_a_mixed_run_resumes_exactly(cli, train):
    whole = train(*MIXED, "kimg=0.032", folder="whole")
    part = train(*MIXED, "kimg=0.016", folder="part")
    assert cli.run("resume", "part", "kimg=0.032") == 0
    assert equal(weights(whole), weights(part))
    assert choices(part) == choices(whole)


@pytest.mark.slow
def test_a_mixed_run_without_a_checkpoint_yet_starts_again(cli, train):
    run, whole = train(*MIXED, "kimg=0.008"), train(*MIXED, "kimg=0.008", folder="whole")
    shutil.rmtree(run / "checkpoints")
    (run / "metrics.jsonl").unlink()
    (run / "status.json").write_text(json.dumps(status(run) | {"state": "running", "kimg": 0.0}))
    assert cli.run("resume", "run") == 0
    assert equal(weights(run), weights(whole))


def test_a_branch_takes_another_part_or_a_whole_set(cli, train, capsys):
    train(*MIXED, "kimg=0.008")
    assert cli.run("resume", "run", "generator=mlp") == 2
    assert "network.generator._target_ cannot change from ganrun.networks.dcgan.Generator" in capsys.readouterr().err
    args = ["resume", "run", "branch=true", "fresh=true"]
    assert cli.run(*args, "encoder=mlp") == 2
    assert "encoder=mlp has no effect on model=dcgan" in capsys.readouterr().err
    assert cli.run(*args, "generator=mlp", "network.generator.hidden=[8]", "folder=branch") == 0
    branch = OmegaConf.load("branch/config.yaml").network
    assert (branch.generator.hidden, branch.discriminator.width) == ([8], 4)
    assert choices(cli.folder / "branch")["generator"] == "mlp"
    assert cli.run(*args, "network=mlp", "generator=maxout", "folder=second") == 0
    assert choices(cli.folder / "second") == {"network": "mlp", "generator": "maxout"}


def test_a_branch_of_a_mixed_run_follows_other_data(cli, train):
    train(*DCGAN, "generator=r3gan", "network.generator.width=4", "kimg=0.008")
    assert cli.run("resume", "run", "branch=true", "fresh=true", "data.size=32", "folder=branch") == 0
    network = OmegaConf.load("branch/config.yaml").network
    assert (network.generator.shape, network.generator.width) == ([1, 32, 32], 4)


@pytest.mark.slow
def test_a_sweep_over_parts_has_a_run_for_each(cli, capsys):
    args = ["train", "-m", *DCGAN, "discriminator=dcgan,resnet_small", "kimg=0.008", "sweep.name=s", "sweep.jobs=1"]
    assert cli.run(*args) == 0
    out = capsys.readouterr().out
    assert [row[1] for row in rows(out)[1:3]] == ["dcgan", "resnet_small"]
    jobs = sorted(path.parent for path in cli.folder.glob("outputs/sweeps/s/*/status.json"))
    assert [job.name for job in jobs] == ["0-discriminator-dcgan", "1-discriminator-resnet_small"]
    assert [choices(job)["discriminator"] for job in jobs] == ["dcgan", "resnet_small"]
    plan = json.loads((cli.folder / "outputs/sweeps/s/sweep.json").read_text())
    assert "discriminator=dcgan,resnet_small" in str(plan)
    assert cli.run("sweep", "resume", "s") == 0


@pytest.mark.slow
def test_conditions_of_a_sweep_may_name_a_part(cli, capsys):
    axes = ["generator=dcgan,mlp", "network.generator.hidden=[4],[8]"]
    only = "sweep.only=['network.generator.hidden if generator==mlp']"
    assert cli.run("train", "-m", *DCGAN, *axes, only, "kimg=0.008", "dry_run=true") == 0
    assert "3 points by grid" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_refuses_a_part_that_does_not_fit(cli, capsys):
    assert cli.run("train", "-m", *DCGAN, "generator=dcgan,cgan", "kimg=0.008") == 2
    assert "Nothing was started, as generator=cgan is refused: network=dcgan generator=cgan" in capsys.readouterr().err


REFUSED = {  # settings: parts of the message
    ("model=dcgan", "generator=cgan"): (
        "network=dcgan generator=cgan does not fit model=dcgan on data=digits: it needs the setting model.classes",
        "Generators that fit: ali, autoencoder, bigan, bigbigan, dcgan,",
    ),
    ("model=cgan", "discriminator=dcgan"): (
        "network=cgan discriminator=dcgan does not fit model=cgan",
        "Discriminators that fit: cgan, cgan_hidden, cgan_mlp, projection.",
    ),
    ("model=dcgan", "data=ring", "discriminator=resnet"): ("needs examples (x), as images",),
    ("model=gan", "data=ring", "discriminator=resnet"): (
        "network=points discriminator=resnet does not fit model=gan on data=ring",
        "Discriminators that fit: maxout, mlp, points.",
    ),
    ("model=dcgan", "encoder=mlp"): (
        "encoder=mlp has no effect on model=dcgan: its networks are discriminator, generator. Leave it out.",
    ),
    ("model=veegan", "discriminator=maxout"): (
        "discriminator=maxout has no effect on model=veegan: its networks are encoder, generator, joint.",
    ),
    ("model=game", "generator=mlp"): ("generator=mlp has no effect on model=game: it takes no networks.",),
    ("model=dcgan", "generator=resnet", "discriminator=r3gan", "network.width=8"): (
        "network.width has no effect with generator=resnet and discriminator=r3gan",
    ),
    ("generator=dcgn",): ('Unknown generator "dcgn". Did you mean dcgan',),
    ("encoder=dcgan",): (
        'Unknown encoder "dcgan". Did you mean bigan',
        "Allowed: ali, bigan, bigbigan, encoder_decoder, maxout,",
    ),
    ("generator=[dcgan]",): ("generator must be the name of one choice",),
    ("model=dcgan", "generator=resnet", "network.generator.hidden=[3]"): (
        "Unknown key network.generator.hidden. Allowed: shape, width, z_dim.",
    ),
    ("model=dcgan", "generator.width=3"): (
        "Unknown key generator. Did you mean network.width or network.generator.width",
    ),
}


@pytest.mark.parametrize("args", REFUSED, ids=" ".join)
def test_what_does_not_fit_is_refused_with_one_message(cli, capsys, args):
    assert cli.run("train", *(["data=digits"] if "data=ring" not in args else []), *args) == 2
    err = capsys.readouterr().err
    assert err.startswith("ganrun: ")
    assert len(err.splitlines()) == 1
    assert all(part in err for part in REFUSED[args]), err
    assert not (cli.folder / "outputs").exists()


def test_parts_of_the_users_own_train(cli, train):
    (cli.folder / "mine" / "network").mkdir(parents=True)
    (cli.folder / "mine" / "generator").mkdir()
    (cli.folder / "mine/network/flat.yaml").write_text(
        "# Flat\ndefaults: [mlp, _self_]\nunits: 6\ngenerator: {hidden: ['${network.units}']}\n"
    )
    (cli.folder / "mine/generator/flatter.yaml").write_text(
        "# Flatter\n_target_: ganrun.networks.mlp.Generator\nshape: ${data.shape}\nz_dim: ${model.z_dim}\nhidden: [5]\n"
    )
    mine = ["--config-dir", "mine", *DCGAN, "kimg=0.008"]
    for name, units in {"flat": 6, "flatter": 5}.items():
        run = train(*mine, f"generator={name}", folder=name)
        assert OmegaConf.load(run / "config.yaml").network.generator.hidden == [units]
    assert cli.run("train", *mine, "discriminator=flat", "folder=third") == 0  # inherited
    assert cli.run("train", *mine, "discriminator=flatter") == 2


def test_help_list_and_completion_know_the_parts(cli, capsys):
    assert cli.run("list", "generator", "encoder") == 0
    out = capsys.readouterr().out
    assert out.startswith("generator=\n  acgan")
    assert "none" not in out
    assert cli.run("train", "--help", "discriminator=resnet_small") == 0
    out = capsys.readouterr().out
    assert "  generator=      acgan, ali, autoencoder," in out
    assert "settings of discriminator=resnet_small\n  network.discriminator.width=32  channels" in out
    assert list_candidates(["train"], "genera", VERBS) == ["generator="]
    assert list_candidates(["train"], "encoder=m", VERBS) == ["encoder=maxout", "encoder=mlp"]
    assert "network.generator.width=" in list_candidates(["train", "generator=r3gan"], "network.generator.w", VERBS)
