"""What is wrong is told in one message with the nearest names: exit code 2, no traceback, nothing written."""

import pytest

BAD = [
    # words, parts of the message
    (["trian"], ['no verb "trian"', "Did you mean train"]),
    (["--trian"], ['Unknown flag "--trian"', "ganrun train --help"]),
    (["model=wgan"], ["The verb comes before", "ganrun train model=wgan"]),
    (["train", "--multrun"], ['Unknown flag "--multrun"', "Did you mean --multirun"]),
    (["train", "--kimg=3"], ["without dashes: kimg=3"]),
    (["train", "--batch-size", "3"], ["without dashes: batch_size=VALUE"]),
    (["train", "--cfg", "jbo"], ['--cfg cannot be "jbo"', "Did you mean job"]),
    (["train", "--cfg"], ["--cfg needs a value: job"]),
    (["train", "--multirun=3"], ["--multirun takes no value"]),
    (["train", "--config-dir", "nowhere"], ["--config-dir nowhere: there is no such folder"]),
    (["train", "wgan"], ['What is "wgan"?', "write model=wgan"]),
    (["train", "kimg"], ["kimg=VALUE", "ganrun train --help"]),
    (["train", "what is this"], ["key=value"]),
    (["train", "modl=wgan"], ["no key modl", "Did you mean model", "+modl=wgan"]),
    (["train", "kmig=3"], ["no key kmig", "Did you mean kimg"]),
    (["train", "lr=3"], ["no key lr", "Did you mean optimizer.lr?"]),
    (["train", "optimizer.lrr=1"], ["no key optimizer.lrr", "Did you mean lr"]),
    (["train", "optimiser.lr=1"], ["no key optimiser", "Did you mean optimizer.lr?"]),
    (["train", "model=wgan", "model.d=1"], ["no key model.d", "Allowed: c, z_dim"]),
    (["train", "optimiser.momentum=1"], ["no key optimiser", "Did you mean optimizer"]),
    (["train", "seed.x=1"], ["no key seed.x", "seed is a single value, 0"]),
    (["train", "data/x=3"], ["no key data/x"]),
    (["train", "model=wgn"], ['no model "wgn"', "Did you mean wgan", "Allowed: dcgan, wgan"]),
    (["train", "model="], ['no model ""', "Allowed: dcgan, wgan"]),
    (["train", "model=3"], ['no model "3"', "Allowed: dcgan, wgan"]),
    (["train", "model=null"], ['no model "null"', "Allowed: dcgan, wgan"]),
    (["train", "experiment=digts"], ['no experiment "digts"', "Did you mean digits"]),
    (["train", "+network@other=mpl"], ['no network "mpl"', "Did you mean mlp"]),
    (["train", "-m", "model=wgan,dcgn"], ['no model "dcgn"', "Did you mean dcgan"]),
    (["train", "-m", "seed=1,2", "kmig=3"], ["no key kmig", "Did you mean kimg"]),
    (["train", "-m", "kmig=3,4"], ["no key kmig", "Did you mean kimg"]),
    (["train", "-m", "seed=1,2", "kimg=[1,2"], ["Cannot read kimg=[1,2", '"[" is not closed']),
    (["train", "model=wgan,dcgan"], ["several jobs", "ganrun train -m"]),
    (["train", "kimg=range(1,3)"], ["several jobs", "ganrun train -m"]),
    (["train", "kimg=[1,2"], ["Cannot read kimg=[1,2", '"[" is not closed']),
    (["train", "data.root=a=b"], ["Cannot read data.root=a=b", "\"data.root='a=b'\""]),
    (["train", "data.root='a"], ["Cannot read data.root='a", "is quoted"]),
    (["train", "seed=${"], ["Cannot read seed=${"]),
    (["train", "=3"], ['What is "=3"']),
    (["train", "+seed=1"], ["There is a seed already", "write seed=1 without the +"]),
    (["train", "+model=wgan"], ["model is chosen already", "write model=wgan without a +"]),
    (["train", "optimizer@net=adam"], ["no optimizer@net to choose"]),
    (["train", "~sed"], ["~sed takes away what is not there", "Did you mean seed"]),
    (["train", "~seed=5"], ["~seed", "is 0 and not 5"]),
    (["train", "~model=wgan"], ["~model=wgan takes away what is not there"]),
    (["train", "hydra.job.num=abc"], ["hydra.job.num=abc", "could not be converted to Integer"]),
    (["train", "hydra.swep.dir=abc"], ["no key hydra.swep", "Did you mean sweep"]),
    (["train", "folder=${nope}"], ["folder", "'nope' not found"]),
    (["train", "--cfg", "job", "--resolve", "seed=${nope}"], ["'nope' not found"]),
    (["train", "--resolve"], ["--resolve"]),
    (["train", "-m", "hydra.sweep.dir=${nope}", "seed=1,2"], ["'nope' not found"]),
    (["eval"], ["needs a run folder", "ganrun eval last"]),
    (["eval", "which=best"], ["needs a run folder", "ganrun eval last"]),
    (["eval", "last", "other"], ['What is "other"?', "The run is last already"]),
    (["eval", "last", "whch=best"], ["no key whch", "Did you mean which"]),
    (["eval", "--folder"], ["--folder needs a value"]),
    (["eval", "last", "--folder", "a", "--against", "b"], ["without any run, and last was given too"]),
    (["eval", "last", "pictures=a"], ["without any run, and last was given too"]),
    (["train", "--folder", "a"], ["--folder is a flag of eval alone", "folder=VALUE", "data.root=VALUE"]),
    (["train", "--against=a"], ["--against is a flag of eval alone", "ganrun eval --folder A --against B"]),
    (["list", "--folder", "a"], ["--folder is a flag of eval alone"]),
    (["list", "modl"], ['no group "modl"', "Did you mean model"]),
    (["list", "--config-dir", "nowhere"], ["--config-dir nowhere: there is no such folder"]),
    (["-sc"], ["install=SHELL"]),
    (["-sc", "install=bsh"], ['shell "bsh"', "Did you mean bash"]),
]


@pytest.mark.parametrize(("words", "parts"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_is_refused_with_the_nearest_names(cli, capfd, words, parts):
    assert cli.run(*words) == 2
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
    ("# @package _global_\ndefaults:\n  - override /model: wgn\n", ["mine.yaml asks for it", 'no model "wgn"', "wgan"]),
    ("# @package _global_\ndefaults:\n  - override /modl: wgan\n", ["In experiment/mine.yaml", "no modl to choose"]),
    ("# @package _global_\ndefaults:\n  - override /model\n", ["override"]),
]


@pytest.mark.parametrize(("text", "parts"), FILES)
def test_a_wrong_config_of_the_user_is_named_with_its_place(cli, tmp_path, capfd, text, parts):
    cli.write(tmp_path / "own", {"experiment/mine": text})
    assert cli.run("train", "--config-dir", str(tmp_path / "own"), "experiment=mine") == 2
    err = capfd.readouterr().err
    for part in parts:
        assert part in err
    assert "Traceback" not in err
    assert cli.jobs == []
    assert list(cli.folder.iterdir()) == []
