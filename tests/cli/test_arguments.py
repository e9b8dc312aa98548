"""Wrong arguments give one message with similar names, exit code 2, no traceback, and write nothing."""

import pytest

from ganrun.errors import did_you_mean

BAD = [
    # arguments, parts of the message
    (["trian"], ['Unknown command "trian"', "Did you mean train"]),
    (["--trian"], ['Unknown flag "--trian"', "ganrun train --help"]),
    (["model=wgan"], ["The command comes before", "ganrun train model=wgan"]),
    (["train", "--multrun"], ['Unknown flag "--multrun"', "Did you mean --multirun"]),
    (["train", "--kimg=3"], ["without dashes: kimg=3"]),
    (["train", "--batch-size", "3"], ["no dashes, and in ganrun train this one is batch_size=3"]),
    (["train", "--log-every", "3"], ["without dashes: log_every=3"]),
    (["train", "--log-every", "kimg=3"], ["without dashes: log_every=VALUE"]),
    (["train", "--epochs", "5"], ["no dashes", "in ganrun train this one is kimg=N: thousands of"]),
    (["sample", "last", "--num-samples=5"], ["no dashes, and in ganrun sample this one is n=5"]),
    (["train", "--cfg", "jbo"], ['--cfg does not accept "jbo"', "Did you mean job"]),
    (["train", "--cfg"], ["--cfg needs a value: job"]),
    (["train", "--multirun=3"], ["--multirun takes no value"]),
    (["train", "--config-dir", "nowhere"], ["--config-dir nowhere does not exist in"]),
    (["train", "wgan"], ['Unexpected argument "wgan"', "write model=wgan"]),
    (["train", "epochs"], ["Settings are written kimg=N"]),
    (["train", "5"], ["Settings are written key=value"]),
    (["sample", "last", "16"], ['Unexpected argument "16"', "Settings are written n=16"]),
    (["eval", "last", "500"], ["Settings are written samples=500"]),
    (["eval", "last", "n=500"], ["Unknown key n. In ganrun eval it is samples=500"]),
    (["eval", "last", "+n=500"], ["+n has no effect", "ganrun eval reads"]),
    (["train", "kimg"], ["kimg=VALUE", "ganrun train --help"]),
    (["train", "what is this"], ["key=value"]),
    (["train", "modl=wgan"], ["Unknown key modl", "Did you mean model", "+modl=wgan"]),
    (["train", "kmig=3"], ["Unknown key kmig", "Did you mean kimg"]),
    (["train", "lr=3"], ["Unknown key lr", "In ganrun it is optimizer.lr=3"]),
    (["train", "optimizer.lrr=1"], ["Unknown key optimizer.lrr", "Did you mean lr"]),
    (["train", "optimiser.lr=1"], ["Unknown key optimiser", "Did you mean optimizer.lr?"]),
    (["train", "model=wgan", "model.d=1"], ["Unknown key model.d", "Allowed: c, z_dim"]),
    (["train", "optimiser.momentum=1"], ["Unknown key optimiser", "Did you mean optimizer"]),
    (["train", "seed.x=1"], ["Unknown key seed.x", "seed is a single value, 0"]),
    (["train", "data/x=3"], ["Unknown key data/x"]),
    (["train", "model=wgn"], ['Unknown model "wgn"', "Did you mean wgan", "Allowed: dcgan, wgan"]),
    (["train", "model="], ['Unknown model ""', "Allowed: dcgan, wgan"]),
    (["train", "model=3"], ['Unknown model "3"', "Allowed: dcgan, wgan"]),
    (["train", "model=null"], ['Unknown model "null"', "Allowed: dcgan, wgan"]),
    (["train", "experiment=digts"], ['Unknown experiment "digts"', "Did you mean digits"]),
    (["train", "+network@other=mpl"], ['Unknown network "mpl"', "Did you mean mlp"]),
    (["train", "-m", "model=wgan,dcgn"], ['Unknown model "dcgn"', "Did you mean dcgan"]),
    (["train", "-m", "seed=1,2", "kmig=3"], ["Unknown key kmig", "Did you mean kimg"]),
    (["train", "-m", "kmig=3,4"], ["Unknown key kmig", "Did you mean kimg"]),
    (["train", "-m", "seed=1,2", "kimg=[1,2"], ["Cannot parse kimg=[1,2", '"[" is not closed']),
    (["train", "model=wgan,dcgan"], ["several values", "ganrun train -m"]),
    (["train", "kimg=range(1,3)"], ["several values", "ganrun train -m"]),
    (["train", "kimg=[1,2"], ["Cannot parse kimg=[1,2", '"[" is not closed']),
    (["train", "need=a=b"], ["Cannot parse need=a=b", "\"need='a=b'\""]),
    (["train", "need='a"], ["Cannot parse need='a", "Quote a value"]),
    (["train", "seed=${"], ["Cannot parse seed=${"]),
    (["train", "=3"], ['Unexpected argument "=3"']),
    (["train", "+seed=1"], ["already has seed", "Write seed=1 without the +"]),
    (["train", "+model=wgan"], ["already has model", "Write model=wgan without the +"]),
    (["train", "optimizer@net=adam"], ["no group optimizer@net"]),
    (["train", "~sed"], ["~sed: the config has nothing of this name", "Did you mean seed"]),
    (["train", "~seed=5"], ["~seed", "is 0 and not 5"]),
    (["train", "~model=wgan"], ["~model=wgan: the config has nothing of this name"]),
    (["train", "hydra.job.num=abc"], ["hydra.job.num=abc", "could not be converted to Integer"]),
    (["train", "hydra.swep.dir=abc"], ["Unknown key hydra.swep", "Did you mean sweep"]),
    (["train", "folder=${nope}"], ["folder", "'nope' not found"]),
    (["train", "--cfg", "job", "--resolve", "seed=${nope}"], ["'nope' not found"]),
    (["train", "--resolve"], ["--resolve"]),
    (["train", "-m", "hydra.sweep.dir=${nope}", "seed=1,2"], ["'nope' not found"]),
    (["eval"], ["needs a run folder", "ganrun eval last"]),
    (["eval", "which=best"], ["needs a run folder", "ganrun eval last"]),
    (["eval", "last", "other"], ['Unexpected argument "other"', "RUN is already last"]),
    (["eval", "last", "whch=best"], ["Unknown key whch", "Did you mean which"]),
    (["eval", "--folder"], ["--folder needs a value"]),
    (["eval", "last", "--folder", "a", "--against", "b"], ["without a run, but RUN is given too: last"]),
    (["eval", "last", "pictures=a"], ["without a run, but RUN is given too: last"]),
    (["train", "--folder", "a"], ["Only eval takes --folder", "folder=PATH", "data.root=PATH"]),
    (["train", "--against=a"], ["Only eval takes --against", "ganrun eval --folder A --against B"]),
    (["list", "--folder", "a"], ["Only eval takes --folder"]),
    (["list", "modl"], ['Unknown group "modl"', "Did you mean model"]),
    (["list", "--config-dir", "nowhere"], ["--config-dir nowhere does not exist in"]),
    (["-sc"], ["install=SHELL"]),
    (["-sc", "install=bsh"], ['shell "bsh"', "Did you mean bash"]),
]


@pytest.mark.parametrize(("args", "parts"), BAD, ids=[" ".join(args) for args, _ in BAD])
def test_a_wrong_argument_gives_one_message(cli, capfd, args, parts):
    assert cli.run(*args) == 2
    out, err = capfd.readouterr()
    for part in parts:
        assert part in err
    assert err.startswith("ganrun: ")
    assert "Traceback" not in err
    assert "hydra.cc" not in err
    assert out == ""
    assert cli.jobs == []
    assert list(cli.folder.iterdir()) == []


FILES = [
    ("kimg: [1, 2\n", ["mine.yaml, line 2, column 1", "expected ',' or ']'"]),
    ("kimg: 1\nkimg: 2\n", ["mine.yaml, line 2, column 1", "duplicate key kimg"]),
    ("kimg: 1\n  seed: 2\n", ["mine.yaml, line 2, column 7", "mapping values are not allowed"]),
    ("\tkimg: 1\n", ["mine.yaml, line 1, column 1", "cannot start any token"]),
    ("# @package _global_\ndefaults:\n  - override /model: wgn\n", ["mine.yaml)", 'Unknown model "wgn"', "wgan"]),
    ("# @package _global_\ndefaults:\n  - override /modl: wgan\n", ["(in experiment/mine.yaml)", "no group modl"]),
    ("# @package _global_\ndefaults:\n  - override /model\n", ["override"]),
]


@pytest.mark.parametrize(("text", "parts"), FILES)
def test_an_error_in_a_users_config_names_file_and_line(cli, tmp_path, capfd, text, parts):
    cli.write(tmp_path / "own", {"experiment/mine": text})
    assert cli.run("train", "--config-dir", str(tmp_path / "own"), "experiment=mine") == 2
    err = capfd.readouterr().err
    for part in parts:
        assert part in err
    assert "Traceback" not in err
    assert cli.jobs == []
    assert list(cli.folder.iterdir()) == []


def test_where_nothing_is_allowed_no_empty_list_is_shown():
    assert did_you_mean("x", []) == ""
    assert did_you_mean("gam", ["gan"]) == " Did you mean gan? Allowed: gan."
